//! The segment that a log appends to: its space, its map and its index entries.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    ops::Range,
    sync::Arc,
};

use ottla_protocol::batch::BatchHeader;

use crate::{
    config::LogConfig,
    disk::{DiskFile, is_disk_full},
    map::{Map, MapWriter},
    partition_files::{FileKind, Lease, PartitionFiles},
    publish::SegmentEnd,
    segment::Segment,
    segment_indexes::SegmentIndexes,
    transaction_index::TransactionIndex,
};

/// A topic with a few records takes no more than this on the disk.
const FIRST_STEP_BYTES: usize = 4 << 10;
/// Space doubles up to here: the zeros of one step take the append that needs it about 0.2 ms.
const LARGEST_STEP_BYTES: usize = 1 << 20;

pub(crate) struct ActiveSegment {
    segment: Arc<Segment>,
    files: Arc<PartitionFiles>,
    /// `None` until the first append since the segment was opened.
    map: Option<MapWriter>,
    /// Of the first batch; `segment.ms` counts from it.
    first_timestamp: Option<i64>,
    opened_ms: i64,
    synced_bytes: usize,
}

/// What of the segment may be in the page cache alone.
pub(crate) struct UnsyncedRecords {
    segment: Arc<Segment>,
    map: Option<Arc<Map>>,
    range: Range<usize>,
    /// For its indexes, too.
    _lease: Lease,
}

impl UnsyncedRecords {
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.map {
            Some(map) => map.sync(self.range.start),
            None if self.range.is_empty() => Ok(()),
            // Written before a kill, and not appended to since.
            None => DiskFile::open_to_write(&self.segment.path())?.sync_all(),
        }
    }
}

/// What is about to be appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) size_bytes: usize,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
}

impl ActiveSegment {
    pub(crate) fn create(
        files: &Arc<PartitionFiles>,
        base_offset: i64,
        now_ms: i64,
    ) -> io::Result<ActiveSegment> {
        DiskFile::create_new(&files.path(base_offset, FileKind::Log))?;
        let end = SegmentEnd { position: 0, relative_offset: 0 };
        let aborted = TransactionIndex::default();
        let segment = Segment::active(Arc::clone(files), base_offset, end, SegmentIndexes::new(), aborted);
        Ok(ActiveSegment::resume(files, Arc::new(segment), None, now_ms))
    }

    /// Goes on with a segment that nobody else writes to.
    pub(crate) fn resume(
        files: &Arc<PartitionFiles>,
        segment: Arc<Segment>,
        first_timestamp: Option<i64>,
        now_ms: i64,
    ) -> ActiveSegment {
        ActiveSegment {
            segment,
            files: Arc::clone(files),
            map: None,
            first_timestamp,
            opened_ms: now_ms,
            synced_bytes: 0,
        }
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Kafka's rules: size, age by the first batch's timestamp, indexes, offsets.
    pub(crate) fn must_roll(&self, incoming: Incoming, config: &LogConfig, now_ms: i64) -> bool {
        let position = self.segment.end().position as usize;
        let relative_offset = incoming.last_offset - self.segment.base_offset();
        let too_large = position + incoming.size_bytes > config.max_segment_bytes();
        position > 0 && (too_large || self.age_ms(incoming, now_ms) > self.segment_ms(config))
            || self.segment.indexes_are_full(config.segment_index_bytes)
            || relative_offset > i64::from(i32::MAX)
    }

    /// Makes room for `size_bytes`, so that [`ActiveSegment::append`] cannot fail.
    pub(crate) fn reserve(&mut self, size_bytes: usize, config: &LogConfig) -> io::Result<()> {
        let position = self.segment.end().position as usize;
        let have_bytes = self.map.as_ref().map_or(position, MapWriter::capacity_bytes);
        let need_bytes = position + size_bytes;
        if need_bytes <= have_bytes && self.map.is_some() {
            return Ok(());
        }
        let step_bytes = have_bytes.clamp(FIRST_STEP_BYTES, LARGEST_STEP_BYTES);
        let ahead_bytes = (have_bytes + step_bytes).min(config.max_segment_bytes()).max(need_bytes);
        match self.grow(have_bytes, ahead_bytes) {
            // The last bytes of a disk are for records, not for space ahead of them.
            Err(error) if is_disk_full(&error) => self.grow(have_bytes, need_bytes),
            grown => grown,
        }
    }

    /// Copies a batch, given as its header's bytes and the rest, behind the last one. Not visible before
    /// [`ActiveSegment::publish`].
    pub(crate) fn append(&mut self, batch: &BatchHeader, header: &[u8], rest: &[u8], interval_bytes: u32) {
        let Some(map) = &mut self.map else { return };
        if let Some(mut indexes) = self.segment.indexes_mut() {
            indexes.note(self.segment.base_offset(), map.position() as u32, batch, interval_bytes);
        }
        map.append(header);
        map.append(rest);
        self.first_timestamp.get_or_insert(batch.max_timestamp);
    }

    /// Shows readers what was appended, up to `next_offset`.
    pub(crate) fn publish(&mut self, next_offset: i64) {
        let Some(map) = &mut self.map else { return };
        map.publish();
        let relative_offset = (next_offset - self.segment.base_offset()) as u32;
        self.segment.publish(SegmentEnd { position: map.position() as u32, relative_offset });
    }

    pub(crate) fn unsynced(&self) -> UnsyncedRecords {
        UnsyncedRecords {
            segment: Arc::clone(&self.segment),
            map: self.map.as_ref().map(|map| Arc::clone(map.map())),
            range: self.synced_bytes..self.segment.end().position as usize,
            _lease: self.files.lease(self.segment.base_offset()),
        }
    }

    /// Says whether the records are this segment's.
    pub(crate) fn synced(&mut self, records: &UnsyncedRecords) -> bool {
        let are_mine = Arc::ptr_eq(&records.segment, &self.segment);
        if are_mine {
            self.synced_bytes = self.synced_bytes.max(records.range.end);
        }
        are_mine
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.synced_bytes == self.segment.end().position as usize
    }

    /// Writes the index entries that are new; the files are what a flush has to sync.
    pub(crate) fn write_indexes(&mut self) -> io::Result<Vec<DiskFile>> {
        let mut files = Vec::new();
        if let Some(mut indexes) = self.segment.indexes_mut() {
            files.extend(indexes.write(&self.files, self.segment.base_offset())?);
        }
        files.extend(self.segment.write_aborted()?);
        Ok(files)
    }

    /// Writes the indexes with their last entries. May be repeated.
    pub(crate) fn finish_indexes(&mut self) -> io::Result<()> {
        if let Some(mut indexes) = self.segment.indexes_mut() {
            indexes.finish(&self.files, self.segment.base_offset())?;
        }
        self.segment.write_aborted().map(drop)
    }

    /// To be called after [`ActiveSegment::finish_indexes`]. Gives back the space behind the last batch once nobody
    /// reads the segment.
    pub(crate) fn seal(self) -> Arc<Segment> {
        drop(self.map);
        self.segment.seal();
        self.segment
    }

    /// Segments that began together do not end together. The same one has the same jitter after a restart.
    fn segment_ms(&self, config: &LogConfig) -> i64 {
        let jitter_ms = config.segment_jitter_ms.min(config.segment_ms);
        if jitter_ms <= 0 {
            return config.segment_ms;
        }
        let mut hasher = DefaultHasher::new();
        (self.files.dir().file_name(), self.segment.base_offset()).hash(&mut hasher);
        config.segment_ms - (hasher.finish() % jitter_ms.unsigned_abs()) as i64
    }

    fn age_ms(&self, incoming: Incoming, now_ms: i64) -> i64 {
        match self.first_timestamp {
            Some(first) if first >= 0 => incoming.max_timestamp - first,
            _ => now_ms - self.opened_ms,
        }
    }

    fn grow(&mut self, from_bytes: usize, capacity_bytes: usize) -> io::Result<()> {
        let file = DiskFile::open_to_write(&self.segment.path())?;
        let capacity_bytes = match self.map {
            Some(_) => capacity_bytes,
            // A kill leaves space behind the last batch, a power cut perhaps batches of which an earlier one is lost.
            // All of it is zeroed, for it cannot be cut: somebody may have mapped the file to read.
            None => capacity_bytes.max(file.len_bytes()? as usize),
        };
        file.allocate(from_bytes as u64, capacity_bytes as u64)?;
        let lease = self.files.lease(self.segment.base_offset());
        let map = match self.map.take() {
            Some(map) => map.grow(&file, capacity_bytes, lease)?,
            None => MapWriter::new(&file, capacity_bytes, self.segment.end().position as usize, lease)?,
        };
        self.segment.open(&map);
        self.map = Some(map);
        Ok(())
    }
}
