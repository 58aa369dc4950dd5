//! One `.log` file with its indexes, as readers see it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use ottla_protocol::batch::{BatchError, BatchHeader, RecordBatch};
use parking_lot::{RwLock, RwLockWriteGuard};
use thiserror::Error;

use crate::{
    disk::DiskFile,
    index::{Entries, Entry, IndexInMemory, IndexOnDisk, OffsetEntry, TimeEntry},
    map::{Map, MapWriter},
    partition_files::{FileKind, Lease, PartitionFiles, Retirement, SegmentFiles},
    publish::{Published, SegmentEnd},
    segment_indexes::SegmentIndexes,
    transaction_index::{AbortedEntry, Search, TransactionIndex},
};

/// What a compressed batch may grow to where its records have to be looked at.
pub(crate) const MAX_DECOMPRESSED_BYTES: usize = 100 << 20;

pub(crate) struct Segment {
    base_offset: i64,
    files: SegmentFiles,
    content: Published<Held>,
    indexes: RwLock<Indexes>,
    aborted: RwLock<TransactionIndex>,
}

enum Held {
    /// Appended to: stays mapped.
    Open(Arc<Map>),
    /// Mapped while somebody reads.
    Idle(Weak<Map>),
}

enum Indexes {
    InMemory(SegmentIndexes),
    OnDisk,
}

/// Why a segment cannot be read.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// What holds its records now, if anything does, is in the log.
    #[error("{} was removed or replaced while it was looked at", path.display())]
    Retired { path: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is damaged at position {position}: {cause}", path.display())]
    Damaged { path: PathBuf, position: usize, cause: BatchError },
}

/// A record's place and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndTimestamp {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

/// Whole batches of one segment.
pub(crate) struct Batches {
    map: Option<Arc<Map>>,
    end: usize,
    next_offset: i64,
}

/// What a read found, and the offset behind it, up to which there is no other record.
pub(crate) struct FoundBatches {
    pub(crate) records: Bytes,
    pub(crate) next_offset: i64,
}

impl Batches {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map.published()[..self.end])
    }

    fn slice(&self, start: usize, stop: usize) -> Bytes {
        self.map.as_ref().and_then(|map| map.slice(start..stop)).unwrap_or_default()
    }
}

impl Segment {
    /// A segment that goes on from `end`, with its indexes in memory.
    pub(crate) fn active(
        files: Arc<PartitionFiles>,
        base_offset: i64,
        end: SegmentEnd,
        indexes: SegmentIndexes,
        aborted: TransactionIndex,
    ) -> Segment {
        Segment::new(SegmentFiles::new(files, base_offset), end, Indexes::InMemory(indexes), aborted)
    }

    /// A segment with its indexes in their files.
    pub(crate) fn sealed(files: SegmentFiles, end: SegmentEnd, aborted: TransactionIndex) -> Segment {
        Segment::new(files, end, Indexes::OnDisk, aborted)
    }

    fn new(files: SegmentFiles, end: SegmentEnd, indexes: Indexes, aborted: TransactionIndex) -> Segment {
        Segment {
            base_offset: files.base_offset(),
            files,
            content: Published::new(end, Held::Idle(Weak::new())),
            indexes: RwLock::new(indexes),
            aborted: RwLock::new(aborted),
        }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(crate) fn end(&self) -> SegmentEnd {
        self.content.end()
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.end().relative_offset)
    }

    /// What the log's file is called in messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.files.name(FileKind::Log)
    }

    /// Keeps the segment's files where they are.
    pub(crate) fn lease(&self) -> Result<Lease, SegmentError> {
        self.files.lease().ok_or_else(|| SegmentError::Retired { path: self.path() })
    }

    /// To be called when the log does not list the segment any more.
    pub(crate) fn retire(&self, why: Retirement) {
        self.files.retire(why);
    }

    /// The files that a segment has besides its log, when it is not appended to any more.
    pub(crate) fn indexes_on_disk(&self) -> impl Iterator<Item = FileKind> {
        let aborted = self.has_aborted_transactions().then_some(FileKind::TransactionIndex);
        [FileKind::OffsetIndex, FileKind::TimeIndex].into_iter().chain(aborted)
    }

    /// Whole batches below `below_offset` from the one that holds `offset` on, at most `max_bytes`; the first one in
    /// any case if `at_least_one_batch`. `None` when no batch lies there.
    pub(crate) fn read(
        &self,
        offset: i64,
        below_offset: i64,
        max_bytes: usize,
        at_least_one_batch: bool,
    ) -> Result<Option<FoundBatches>, SegmentError> {
        let batches = self.batches()?;
        let mut bytes = batches.bytes();
        let mut next_offset = batches.next_offset;
        if below_offset < next_offset {
            let end = self.position_of(bytes, below_offset)?.unwrap_or(bytes.len());
            (bytes, next_offset) = (&bytes[..end], below_offset);
        }
        let Some(start) = self.position_of(bytes, offset)? else { return Ok(None) };
        let stop = self.last_whole_batch(bytes, start, max_bytes, at_least_one_batch)?;
        if let Some(next) = self.batch_at(bytes, stop)? {
            next_offset = next.base_offset();
        }
        Ok(Some(FoundBatches { records: batches.slice(start, stop), next_offset }))
    }

    pub(crate) fn has_aborted_transactions(&self) -> bool {
        !self.aborted.read().is_empty()
    }

    /// Gives the transactions that were aborted by a marker in this segment and of which something lies in
    /// `[from_offset, upper_bound)`.
    pub(crate) fn collect_aborted(
        &self,
        from_offset: i64,
        upper_bound: i64,
        found: &mut dyn FnMut(AbortedEntry),
    ) -> Result<Search, SegmentError> {
        let lease = self.lease()?;
        let path = lease.path(FileKind::TransactionIndex);
        let aborted = self.aborted.read();
        aborted
            .collect(&path, from_offset, upper_bound, found)
            .map_err(|source| SegmentError::Io { path, source })
    }

    /// For the writer: a marker in this segment aborts a transaction.
    pub(crate) fn push_aborted(&self, entry: AbortedEntry) {
        self.aborted.write().push(entry);
    }

    /// For the writer: so many aborted transactions wait in memory that they have to be written.
    pub(crate) fn aborted_is_full(&self) -> bool {
        self.aborted.read().is_full()
    }

    /// For the writer: makes the file of aborted transactions complete. `None` if there are none.
    pub(crate) fn write_aborted(&self) -> io::Result<Option<DiskFile>> {
        let path = self.files.name(FileKind::TransactionIndex);
        self.aborted.write().write(&path)
    }

    /// The first record at or behind `from_offset` whose timestamp is at least `timestamp`.
    pub(crate) fn find_timestamp(
        &self,
        timestamp: i64,
        from_offset: i64,
    ) -> Result<Option<OffsetAndTimestamp>, SegmentError> {
        let earlier = self.last_time_entry(|entry| entry.timestamp < timestamp)?;
        let behind =
            earlier.map_or(self.base_offset, |entry| self.base_offset + i64::from(entry.relative_offset));
        let batches = self.batches()?;
        let Some(mut position) = self.position_of(batches.bytes(), behind.max(from_offset))? else {
            return Ok(None);
        };
        while let Some(batch) = self.batch_at(batches.bytes(), position)? {
            if batch.header().max_timestamp >= timestamp
                && let Some(found) = self.find_in_batch(&batch, position, timestamp, from_offset)?
            {
                return Ok(Some(found));
            }
            position += batch.size_bytes();
        }
        Ok(None)
    }

    /// Shows the headers of the batches below `below_offset`, in order, from about `max_bytes` before it on. Returns the
    /// bytes of these batches.
    pub(crate) fn headers_before(
        &self,
        below_offset: i64,
        max_bytes: usize,
        mut look: impl FnMut(&BatchHeader),
    ) -> Result<usize, SegmentError> {
        let batches = self.batches()?;
        let end = self.position_of(batches.bytes(), below_offset)?.unwrap_or(batches.bytes().len());
        let bytes = &batches.bytes()[..end];
        let start =
            self.indexed_position(bytes, |entry| entry.position as usize <= end.saturating_sub(max_bytes))?;
        let mut position = start;
        while let Some(batch) = self.batch_at(bytes, position)? {
            look(batch.header());
            position += batch.size_bytes();
        }
        Ok(position - start)
    }

    /// The largest timestamp and the last offset of its batch; `None` when no batch has a timestamp.
    pub(crate) fn largest_timestamp(&self) -> Result<Option<TimeEntry>, SegmentError> {
        if let Indexes::InMemory(indexes) = &*self.indexes.read() {
            return Ok(Some(indexes.largest()).filter(|largest| largest.timestamp >= 0));
        }
        self.last_time_entry(|_| true)
    }

    /// The largest timestamp of the records at or behind `from_offset`. Looks at all of their batches.
    pub(crate) fn largest_timestamp_from(&self, from_offset: i64) -> Result<Option<i64>, SegmentError> {
        let batches = self.batches()?;
        let mut next = self.position_of(batches.bytes(), from_offset)?;
        let mut largest = None;
        while let Some(position) = next
            && let Some(batch) = self.batch_at(batches.bytes(), position)?
        {
            let timestamp = match batch.base_offset() < from_offset {
                true => self.largest_in_batch(&batch, position, from_offset)?,
                false => Some(batch.header().max_timestamp),
            };
            largest = largest.max(timestamp);
            next = Some(position + batch.size_bytes());
        }
        Ok(largest.filter(|timestamp| *timestamp >= 0))
    }

    /// The largest timestamp of the first batch; `None` without one.
    pub(crate) fn first_timestamp(&self) -> Result<Option<i64>, SegmentError> {
        let batches = self.batches()?;
        Ok(self.batch_at(batches.bytes(), 0)?.map(|first| first.header().max_timestamp))
    }

    /// Every batch up to the published end.
    pub(crate) fn batches(&self) -> Result<Batches, SegmentError> {
        let (end, map) = self.content.view(|end, held| self.map(end, held));
        let next_offset = self.base_offset + i64::from(end.relative_offset);
        Ok(Batches { map: map?, end: end.position as usize, next_offset })
    }

    /// For the writer: `map` shall serve readers from here on.
    pub(crate) fn open(&self, map: &MapWriter) {
        self.content.replace_map(Held::Open(Arc::clone(map.map())));
    }

    /// For the writer: readers see everything below `end`, which the map has.
    pub(crate) fn publish(&self, end: SegmentEnd) {
        self.content.publish(end);
    }

    /// For the writer: nothing more will come. Unmapped as soon as nobody reads.
    pub(crate) fn seal(&self) {
        *self.indexes.write() = Indexes::OnDisk;
        self.content.replace_map(Held::Idle(Weak::new()));
        self.files.trim(u64::from(self.end().position));
    }

    /// For the writer: the indexes of a segment that is not sealed.
    pub(crate) fn indexes_mut(&self) -> Option<impl std::ops::DerefMut<Target = SegmentIndexes>> {
        RwLockWriteGuard::try_map(self.indexes.write(), |indexes| match indexes {
            Indexes::InMemory(indexes) => Some(indexes),
            Indexes::OnDisk => None,
        })
        .ok()
    }

    pub(crate) fn indexes_are_full(&self, max_bytes: u32) -> bool {
        matches!(&*self.indexes.read(), Indexes::InMemory(indexes) if indexes.is_full(max_bytes))
    }

    fn map(&self, end: SegmentEnd, held: &mut Held) -> Result<Option<Arc<Map>>, SegmentError> {
        if end.position == 0 {
            return Ok(None);
        }
        let idle = match held {
            Held::Open(map) => return Ok(Some(Arc::clone(map))),
            Held::Idle(idle) => idle,
        };
        if let Some(map) = idle.upgrade() {
            return Ok(Some(map));
        }
        let lease = self.lease()?;
        // Others share the map, and know of an end that may lie behind this reader's.
        let len_bytes = self.end().position as usize;
        let map = DiskFile::open(&lease.path(FileKind::Log))
            .and_then(|file| Map::sealed(&file, len_bytes, lease))
            .map_err(|source| SegmentError::Io { path: self.path(), source })?;
        *idle = Arc::downgrade(&map);
        Ok(Some(map))
    }

    /// Where the batch begins that holds `offset`, or the first one behind it.
    pub(crate) fn position_of(&self, batches: &[u8], offset: i64) -> Result<Option<usize>, SegmentError> {
        let relative_offset = (offset - self.base_offset).clamp(0, i64::from(u32::MAX)) as u32;
        let mut position =
            self.indexed_position(batches, |entry| entry.relative_offset <= relative_offset)?;
        while let Some(batch) = self.batch_at(batches, position)? {
            if batch.last_offset() >= offset {
                return Ok(Some(position));
            }
            position += batch.size_bytes();
        }
        Ok(None)
    }

    /// Where the last batch ends of those that fit in `max_bytes` from `start` on.
    fn last_whole_batch(
        &self,
        batches: &[u8],
        start: usize,
        max_bytes: usize,
        at_least_one_batch: bool,
    ) -> Result<usize, SegmentError> {
        let limit = start.saturating_add(max_bytes);
        if limit >= batches.len() {
            return Ok(batches.len());
        }
        let mut stop = self.indexed_position(batches, |entry| entry.position as usize <= limit)?.max(start);
        while let Some(batch) = self.batch_at(batches, stop)? {
            let first_of_all = at_least_one_batch && stop == start;
            if stop + batch.size_bytes() > limit && !first_of_all {
                break;
            }
            stop += batch.size_bytes();
        }
        Ok(stop)
    }

    fn largest_in_batch(
        &self,
        batch: &RecordBatch<'_>,
        position: usize,
        from_offset: i64,
    ) -> Result<Option<i64>, SegmentError> {
        let damaged = |cause| SegmentError::Damaged { path: self.path(), position, cause };
        let mut largest = None;
        for record in &batch.records(MAX_DECOMPRESSED_BYTES).map_err(damaged)? {
            let record = record.map_err(damaged)?;
            largest = largest.max(Some(record.timestamp).filter(|_| record.offset >= from_offset));
        }
        Ok(largest)
    }

    fn find_in_batch(
        &self,
        batch: &RecordBatch<'_>,
        position: usize,
        timestamp: i64,
        from_offset: i64,
    ) -> Result<Option<OffsetAndTimestamp>, SegmentError> {
        let damaged = |cause| SegmentError::Damaged { path: self.path(), position, cause };
        for record in &batch.records(MAX_DECOMPRESSED_BYTES).map_err(damaged)? {
            let record = record.map_err(damaged)?;
            if record.timestamp >= timestamp && record.offset >= from_offset {
                let leader_epoch = batch.header().leader_epoch;
                return Ok(Some(OffsetAndTimestamp {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    leader_epoch,
                }));
            }
        }
        Ok(None)
    }

    pub(crate) fn batch_at<'a>(
        &self,
        batches: &'a [u8],
        position: usize,
    ) -> Result<Option<RecordBatch<'a>>, SegmentError> {
        match batches.get(position..) {
            None | Some([]) => Ok(None),
            Some(rest) => match RecordBatch::parse(rest) {
                Ok((batch, _)) => Ok(Some(batch)),
                Err(cause) => Err(SegmentError::Damaged { path: self.path(), position, cause }),
            },
        }
    }

    /// Where the batch of the last such entry begins; the segment's front if there is none. An index has no checksum,
    /// so an entry that does not fit its batch is passed over.
    fn indexed_position(
        &self,
        batches: &[u8],
        before: impl Fn(&OffsetEntry) -> bool,
    ) -> Result<usize, SegmentError> {
        let entry = self.last_entry(FileKind::OffsetIndex, SegmentIndexes::offsets, before)?;
        let fitting = entry.filter(|entry| entry.fits(self.base_offset, batches));
        Ok(fitting.map_or(0, |entry| entry.position as usize))
    }

    fn last_time_entry(
        &self,
        before: impl Fn(&TimeEntry) -> bool,
    ) -> Result<Option<TimeEntry>, SegmentError> {
        self.last_entry(FileKind::TimeIndex, SegmentIndexes::times, before)
    }

    fn last_entry<E: Entry>(
        &self,
        kind: FileKind,
        in_memory: fn(&SegmentIndexes) -> &IndexInMemory<E>,
        before: impl Fn(&E) -> bool,
    ) -> Result<Option<E>, SegmentError> {
        let found = match &*self.indexes.read() {
            Indexes::InMemory(indexes) => in_memory(indexes).last_where(before),
            Indexes::OnDisk => {
                let lease = self.lease()?;
                IndexOnDisk::open(&lease.path(kind)).and_then(|index| index.last_where(before))
            }
        };
        match found {
            // The segment is then searched from its front.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            found => found.map_err(|source| SegmentError::Io { path: self.files.name(kind), source }),
        }
    }
}
