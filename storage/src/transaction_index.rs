//! A segment's `.txnindex`: the transactions that were aborted by a marker in this segment, in the order of their
//! markers, in Kafka's form.
//!
//! ```text
//! entries of 34 bytes: version i16 = 0 | producerId i64 | firstOffset i64 | lastOffset i64 | lastStableOffset i64
//! ```
//! `lastOffset` is the marker's, `lastStableOffset` the one that the marker left. A segment without aborted
//! transactions has no such file. Like the other indexes it is written when its segment is flushed, rolled or closed.

use std::{io, path::Path};

use crate::{
    disk::{self, DiskFile},
    index::{Entries, Entry, IndexOnDisk},
};

const VERSION: i16 = 0;
/// How many entries wait in memory for the next flush.
const MAX_UNWRITTEN: usize = 4096;
/// Whole entries, and as many as are worth a call.
const CHUNK_BYTES: u64 = 1024 * AbortedEntry::SIZE_BYTES as u64;

/// What a consumer that reads committed records has to skip: the producer's records from `first_offset` up to its next
/// abort marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedEntry {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) last_stable_offset: i64,
}

impl Entry for AbortedEntry {
    const SIZE_BYTES: usize = 34;

    fn encode(self, to: &mut Vec<u8>) {
        to.extend(VERSION.to_be_bytes());
        for field in [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset] {
            to.extend(field.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<AbortedEntry> {
        let field = |at: usize| bytes.get(at..)?.first_chunk().map(|field| i64::from_be_bytes(*field));
        let version = i16::from_be_bytes(*bytes.first_chunk()?);
        let entry = AbortedEntry {
            producer_id: field(2)?,
            first_offset: field(10)?,
            last_offset: field(18)?,
            last_stable_offset: field(26)?,
        };
        (version == VERSION && entry.is_sound()).then_some(entry)
    }
}

impl AbortedEntry {
    /// A transaction ends behind its start, and leaves nothing stable that comes behind its marker's successor.
    fn is_sound(&self) -> bool {
        0 <= self.first_offset
            && self.first_offset < self.last_offset
            && (0..=self.last_offset + 1).contains(&self.last_stable_offset)
    }
}

/// What one segment's index gives to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Whatever comes later was stable behind the bound.
    Complete,
    GoOn,
}

/// The index of a segment, whether it is appended to or not. Entries in the file take no memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TransactionIndex {
    written: usize,
    /// Of the entries in the file; a read behind it need not look there.
    last_written_offset: i64,
    unwritten: Vec<AbortedEntry>,
    /// The file has more than what was written.
    has_stale_entries: bool,
}

impl TransactionIndex {
    /// The entries at the front of the file that end before `below_offset`; those behind are replaced by the next
    /// write. A missing file has none.
    pub(crate) fn load(path: &Path, below_offset: i64) -> io::Result<TransactionIndex> {
        let file = IndexOnDisk::<AbortedEntry>::open(path)?;
        let written = file.partition_point(|entry| entry.last_offset < below_offset)?;
        TransactionIndex::of_file(&file, written)
    }

    /// Of which nothing is believed that a file may hold.
    pub(crate) fn rebuilt() -> TransactionIndex {
        TransactionIndex { has_stale_entries: true, ..TransactionIndex::default() }
    }

    /// Of a segment that is not appended to: everything in the file is believed.
    pub(crate) fn sealed(path: &Path) -> io::Result<TransactionIndex> {
        let file = IndexOnDisk::<AbortedEntry>::open(path)?;
        TransactionIndex::of_file(&file, file.count())
    }

    fn of_file(file: &IndexOnDisk<AbortedEntry>, written: usize) -> io::Result<TransactionIndex> {
        let last = written.checked_sub(1).map(|slot| file.get(slot)).transpose()?;
        Ok(TransactionIndex {
            written,
            last_written_offset: last.map_or(-1, |last| last.last_offset),
            unwritten: Vec::new(),
            has_stale_entries: written < file.count(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written == 0 && self.unwritten.is_empty()
    }

    pub(crate) fn push(&mut self, entry: AbortedEntry) {
        self.unwritten.push(entry);
    }

    /// Whether so many entries wait that they should be written before the next comes.
    pub(crate) fn is_full(&self) -> bool {
        self.unwritten.len() >= MAX_UNWRITTEN
    }

    /// Makes the file hold exactly these entries, and gives it if there are any.
    pub(crate) fn write(&mut self, path: &Path) -> io::Result<Option<DiskFile>> {
        if self.is_empty() {
            if self.has_stale_entries {
                disk::remove_file_if_present(path)?;
                self.has_stale_entries = false;
            }
            return Ok(None);
        }
        let file = DiskFile::open_or_create(path)?;
        let written_bytes = (self.written * AbortedEntry::SIZE_BYTES) as u64;
        file.cut(written_bytes)?;
        self.has_stale_entries = false;
        if let Some(&last) = self.unwritten.last() {
            let mut bytes = Vec::with_capacity(self.unwritten.len() * AbortedEntry::SIZE_BYTES);
            self.unwritten.iter().for_each(|entry| entry.encode(&mut bytes));
            file.write_at(written_bytes, &bytes)?;
            self.written += self.unwritten.len();
            self.last_written_offset = last.last_offset;
            self.unwritten.clear();
        }
        Ok(Some(file))
    }

    /// Like [`TransactionIndex::write`], and waits until what was new is on the disk: nobody would miss a lost entry.
    pub(crate) fn write_now(&mut self, path: &Path) -> io::Result<()> {
        let has_news = self.has_stale_entries || !self.unwritten.is_empty();
        match self.write(path)? {
            Some(file) if has_news => file.sync_all(),
            _ => Ok(()),
        }
    }

    /// Gives the aborted transactions of which something lies in `[from_offset, upper_bound)`.
    pub(crate) fn collect(
        &self,
        path: &Path,
        from_offset: i64,
        upper_bound: i64,
        found: &mut dyn FnMut(AbortedEntry),
    ) -> io::Result<Search> {
        let mut take = |entry: AbortedEntry| {
            if entry.last_offset >= from_offset && entry.first_offset < upper_bound {
                found(entry);
            }
            entry.last_stable_offset >= upper_bound
        };
        if self.written > 0 && self.last_written_offset >= from_offset {
            let file = IndexOnDisk::<AbortedEntry>::open(path)?;
            let first = file.partition_point(|entry| entry.last_offset < from_offset)?;
            for slot in first..self.written {
                if take(file.get(slot)?) {
                    return Ok(Search::Complete);
                }
            }
        }
        let first = self.unwritten.partition_point(|entry| entry.last_offset < from_offset);
        let complete = self.unwritten[first..].iter().any(|&entry| take(entry));
        Ok(if complete { Search::Complete } else { Search::GoOn })
    }
}

/// Whether a segment's index is one that could be: whole entries of transactions that ended in
/// `[base_offset, next_offset)`, one after the other. A missing file is.
pub(crate) fn is_sound(path: &Path, base_offset: i64, next_offset: i64) -> io::Result<bool> {
    let Some(file) = DiskFile::open_if_present(path)? else { return Ok(true) };
    let len_bytes = file.len_bytes()?;
    let mut chunk = vec![0; len_bytes.min(CHUNK_BYTES) as usize];
    let (mut position, mut previous) = (0, base_offset - 1);
    while position < len_bytes {
        let bytes = &mut chunk[..(len_bytes - position).min(CHUNK_BYTES) as usize];
        file.read_exact_at(position, bytes)?;
        for entry in bytes.chunks(AbortedEntry::SIZE_BYTES) {
            match AbortedEntry::decode(entry) {
                Some(entry) if entry.last_offset > previous && entry.last_offset < next_offset => {
                    previous = entry.last_offset;
                }
                _ => return Ok(false),
            }
        }
        position += bytes.len() as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(producer_id: i64, first_offset: i64, last_offset: i64, last_stable_offset: i64) -> AbortedEntry {
        AbortedEntry { producer_id, first_offset, last_offset, last_stable_offset }
    }

    fn index(entries: &[AbortedEntry]) -> TransactionIndex {
        TransactionIndex { unwritten: entries.to_vec(), ..TransactionIndex::default() }
    }

    fn collect(index: &TransactionIndex, path: &Path, from: i64, upper: i64) -> (Vec<i64>, Search) {
        let mut found = Vec::new();
        let search = index.collect(path, from, upper, &mut |entry| found.push(entry.producer_id)).unwrap();
        (found, search)
    }

    const ENTRIES: [AbortedEntry; 3] =
        [entry_of(1, 0, 11, 12), entry_of(2, 20, 24, 21), entry_of(3, 21, 30, 31)];

    const fn entry_of(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedEntry {
        AbortedEntry { producer_id, first_offset: first, last_offset: last, last_stable_offset: stable }
    }

    #[test]
    fn a_search_gives_what_overlaps_and_stops_behind_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.txnindex");
        let in_memory = index(&ENTRIES);
        let mut on_disk = index(&ENTRIES);
        on_disk.write(&path).unwrap();
        let mut in_both = index(&ENTRIES[..1]);
        in_both.written = 0;
        let mixed_path = dir.path().join("1.txnindex");
        in_both.write(&mixed_path).unwrap();
        in_both.unwritten.extend(&ENTRIES[1..]);
        for (from, upper, expected) in [
            (0, 12, (vec![1], Search::Complete)),
            (12, 20, (vec![], Search::Complete)),
            (12, 21, (vec![2], Search::Complete)),
            (12, 22, (vec![2, 3], Search::Complete)),
            (25, 40, (vec![3], Search::GoOn)),
            (31, 40, (vec![], Search::GoOn)),
        ] {
            assert_eq!(collect(&in_memory, &path, from, upper), expected, "{from}..{upper}");
            assert_eq!(collect(&on_disk, &path, from, upper), expected, "{from}..{upper} from the file");
            assert_eq!(collect(&in_both, &mixed_path, from, upper), expected, "{from}..{upper} from both");
        }
    }

    #[test]
    fn a_loaded_index_is_cut_where_it_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.txnindex");
        index(&ENTRIES).write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * 34);
        let mut loaded = TransactionIndex::load(&path, 30).unwrap();
        loaded.push(entry(4, 25, 40, 41));
        loaded.write(&path).unwrap();
        let (found, _) = collect(&TransactionIndex::sealed(&path).unwrap(), &path, 0, 100);
        assert_eq!(found, [1, 2, 4]);
    }

    #[test]
    fn an_index_without_entries_has_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.txnindex");
        assert!(TransactionIndex::default().write(&path).unwrap().is_none());
        index(&ENTRIES).write(&path).unwrap();
        TransactionIndex::load(&path, 0).unwrap().write(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn every_cut_and_every_entry_out_of_place_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.txnindex");
        index(&ENTRIES).write(&path).unwrap();
        assert!(is_sound(&path, 0, 31).unwrap());
        assert!(is_sound(&dir.path().join("1.txnindex"), 0, 31).unwrap());
        assert!(!is_sound(&path, 12, 31).unwrap(), "ends before the segment");
        assert!(!is_sound(&path, 0, 30).unwrap(), "ends behind the segment");
        let sound = fs::read(&path).unwrap();
        for left in (0..sound.len()).filter(|left| left % 34 != 0) {
            fs::write(&path, &sound[..left]).unwrap();
            assert!(!is_sound(&path, 0, 31).unwrap(), "cut at {left}");
        }
        fs::write(&path, [0; 34]).unwrap();
        assert!(!is_sound(&path, 0, 31).unwrap(), "zeros");
        fs::write(&path, [&sound[34..], &sound[..34]].concat()).unwrap();
        assert!(!is_sound(&path, 0, 31).unwrap(), "out of order");
    }
}
