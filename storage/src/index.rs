//! A segment's `.index` and `.timeindex`: sparse, sorted, fixed-size entries.
//!
//! A segment that is appended to keeps its entries in memory and writes those that are new when it is flushed, rolled
//! or closed. Any other segment is searched in the file, so that its indexes take no memory.

use std::{io, marker::PhantomData, path::Path};

use ottla_protocol::batch::BatchHeader;

use crate::disk::DiskFile;

/// Of the entries of all kinds of index; aborted transactions take it.
const LARGEST_ENTRY_BYTES: usize = 34;

/// From an offset to a file position. The offset is the *last* one of the batch that starts at the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative_offset: u32,
    pub(crate) position: u32,
}

impl OffsetEntry {
    /// Whether a batch with the entry's offset as its last begins at the entry's position.
    pub(crate) fn fits(self, base_offset: i64, batches: &[u8]) -> bool {
        let batch = batches.get(self.position as usize..).map(BatchHeader::parse);
        matches!(batch, Some(Ok(batch)) if batch.last_offset() == base_offset + i64::from(self.relative_offset))
    }
}

/// The largest timestamp of the segment up to here, and the last offset of the batch that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative_offset: u32,
}

pub(crate) trait Entry: Copy {
    const SIZE_BYTES: usize;
    fn encode(self, to: &mut Vec<u8>);
    /// `None` for a negative offset or position, which no sound index has, or when `bytes` are too few.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Entry for OffsetEntry {
    const SIZE_BYTES: usize = 8;

    fn encode(self, to: &mut Vec<u8>) {
        to.extend(self.relative_offset.to_be_bytes());
        to.extend(self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<OffsetEntry> {
        let (relative_offset, position) = (positive(bytes)?, positive(bytes.get(4..)?)?);
        Some(OffsetEntry { relative_offset, position })
    }
}

impl Entry for TimeEntry {
    const SIZE_BYTES: usize = 12;

    fn encode(self, to: &mut Vec<u8>) {
        to.extend(self.timestamp.to_be_bytes());
        to.extend(self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<TimeEntry> {
        let timestamp = i64::from_be_bytes(*bytes.first_chunk()?);
        Some(TimeEntry { timestamp, relative_offset: positive(bytes.get(8..)?)? })
    }
}

fn positive(bytes: &[u8]) -> Option<u32> {
    u32::try_from(i32::from_be_bytes(*bytes.first_chunk()?)).ok()
}

/// Sorted entries, wherever they are.
pub(crate) trait Entries<E: Entry> {
    fn count(&self) -> usize;
    fn get(&self, slot: usize) -> io::Result<E>;

    /// The last entry for which `before` holds; it must hold for all entries up to some slot and for none behind it.
    fn last_where(&self, before: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        self.partition_point(before)?.checked_sub(1).map(|slot| self.get(slot)).transpose()
    }

    /// How many entries at the front fulfil `before`; it must hold for all up to some slot and for none behind it.
    fn partition_point(&self, before: impl Fn(&E) -> bool) -> io::Result<usize> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.get(middle)?) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn last(&self) -> io::Result<Option<E>> {
        self.count().checked_sub(1).map(|slot| self.get(slot)).transpose()
    }
}

/// The index of a segment that is appended to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexInMemory<E> {
    entries: Vec<E>,
    written: usize,
}

impl<E> Default for IndexInMemory<E> {
    fn default() -> Self {
        IndexInMemory { entries: Vec::new(), written: 0 }
    }
}

impl<E: Entry> IndexInMemory<E> {
    /// The entries at the front of the file for which `keep`, given the one before, holds. A missing file has none.
    pub(crate) fn load(path: &Path, keep: impl Fn(Option<&E>, &E) -> bool) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read?,
        };
        let mut entries: Vec<E> = Vec::with_capacity(bytes.len() / E::SIZE_BYTES);
        for entry in bytes.chunks_exact(E::SIZE_BYTES).map_while(E::decode) {
            if !keep(entries.last(), &entry) {
                break;
            }
            entries.push(entry);
        }
        Ok(IndexInMemory { written: entries.len(), entries })
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.entries.push(entry);
    }

    /// Makes the file hold exactly these entries. What an earlier call wrote stays as it is.
    pub(crate) fn write(&mut self, path: &Path) -> io::Result<DiskFile> {
        let file = DiskFile::open_or_create(path)?;
        let written_bytes = (self.written * E::SIZE_BYTES) as u64;
        file.cut(written_bytes)?;
        let mut bytes = Vec::with_capacity((self.entries.len() - self.written) * E::SIZE_BYTES);
        self.entries[self.written..].iter().for_each(|entry| entry.encode(&mut bytes));
        file.write_at(written_bytes, &bytes)?;
        self.written = self.entries.len();
        Ok(file)
    }
}

impl<E: Entry> Entries<E> for IndexInMemory<E> {
    fn count(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, slot: usize) -> io::Result<E> {
        self.entries.get(slot).copied().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

/// The index of a segment that is not appended to.
pub(crate) struct IndexOnDisk<E> {
    file: Option<DiskFile>,
    count: usize,
    entry: PhantomData<E>,
}

impl<E: Entry> IndexOnDisk<E> {
    /// A missing file has no entries: the search then starts at the segment's front.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = DiskFile::open_if_present(path)?;
        let size_bytes = file.as_ref().map_or(Ok(0), DiskFile::len_bytes)?;
        Ok(IndexOnDisk { file, count: size_bytes as usize / E::SIZE_BYTES, entry: PhantomData })
    }
}

impl<E: Entry> Entries<E> for IndexOnDisk<E> {
    fn count(&self) -> usize {
        self.count
    }

    fn get(&self, slot: usize) -> io::Result<E> {
        let mut entry = [0; LARGEST_ENTRY_BYTES];
        let entry = &mut entry[..E::SIZE_BYTES];
        let Some(file) = &self.file else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        file.read_exact_at((slot * E::SIZE_BYTES) as u64, entry)?;
        E::decode(entry).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a damaged index entry"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(count: u32) -> IndexInMemory<OffsetEntry> {
        let mut index = IndexInMemory::default();
        (0..count).for_each(|i| index.push(OffsetEntry { relative_offset: 10 * i + 9, position: 100 * i }));
        index
    }

    #[test]
    fn only_new_entries_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.index");
        let mut index = index(2);
        index.write(&path).unwrap();
        std::fs::write(&path, [&[7; 16][..], b"left from an earlier attempt"].concat()).unwrap();
        index.push(OffsetEntry { relative_offset: 1, position: 2 });
        index.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [&[7; 16][..], &[0, 0, 0, 1, 0, 0, 0, 2]].concat());
    }

    #[test]
    fn a_zero_filled_or_torn_tail_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.index");
        let mut bytes = Vec::new();
        OffsetEntry { relative_offset: 5, position: 70 }.encode(&mut bytes);
        bytes.extend([0; 19]);
        std::fs::write(&path, bytes).unwrap();
        let loaded = IndexInMemory::<OffsetEntry>::load(&path, |_, entry| entry.relative_offset > 0).unwrap();
        assert_eq!(loaded.count(), 1);
    }

    proptest! {
        #[test]
        fn disk_and_memory_find_the_same(count in 0..40_u32, wanted in 0..500_u32) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("0.index");
            let mut index = index(count);
            index.write(&path).unwrap();
            let expected = (0..count).rev().find(|i| 10 * i + 9 <= wanted).map(|i| 100 * i);
            let before = |entry: &OffsetEntry| entry.relative_offset <= wanted;
            prop_assert_eq!(index.last_where(before).unwrap().map(|entry| entry.position), expected);
            let on_disk = IndexOnDisk::<OffsetEntry>::open(&path).unwrap();
            prop_assert_eq!(on_disk.last_where(before).unwrap().map(|entry| entry.position), expected);
        }
    }
}
