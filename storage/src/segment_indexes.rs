//! When a batch gets index entries, by Kafka's rules; used by the append and by recovery alike.

use std::{io, path::Path};

use ottla_protocol::{NO_TIMESTAMP, batch::BatchHeader};

use crate::{
    disk::DiskFile,
    index::{Entries, Entry, IndexInMemory, OffsetEntry, TimeEntry},
    partition_files::{FileKind, PartitionFiles},
};

/// Both indexes of a segment that is appended to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SegmentIndexes {
    offsets: IndexInMemory<OffsetEntry>,
    times: IndexInMemory<TimeEntry>,
    bytes_since_entry: u32,
    largest: TimeEntry,
}

impl SegmentIndexes {
    pub(crate) fn new() -> SegmentIndexes {
        SegmentIndexes {
            offsets: IndexInMemory::default(),
            times: IndexInMemory::default(),
            bytes_since_entry: 0,
            largest: TimeEntry { timestamp: NO_TIMESTAMP, relative_offset: 0 },
        }
    }

    /// The entries in the files for which both offset and position lie below the bounds.
    pub(crate) fn load(
        files: &PartitionFiles,
        base_offset: i64,
        below_relative_offset: u32,
        below_position: u32,
    ) -> io::Result<SegmentIndexes> {
        let offsets = IndexInMemory::load(
            &files.path(base_offset, FileKind::OffsetIndex),
            |previous: Option<&OffsetEntry>, entry: &OffsetEntry| {
                entry.relative_offset < below_relative_offset
                    && entry.position < below_position
                    && previous.is_none_or(|previous| previous.position < entry.position)
            },
        )?;
        let times = IndexInMemory::load(
            &files.path(base_offset, FileKind::TimeIndex),
            |previous: Option<&TimeEntry>, entry: &TimeEntry| {
                entry.relative_offset < below_relative_offset
                    && previous.is_none_or(|previous| previous.timestamp < entry.timestamp)
            },
        )?;
        let mut indexes = SegmentIndexes { offsets, times, ..SegmentIndexes::new() };
        if let Some(largest) = indexes.times.last()? {
            indexes.largest = largest;
        }
        Ok(indexes)
    }

    /// To be called for every batch in order. A batch is indexed when more than `interval_bytes` lie between it and
    /// the last one that was; the first of a segment never is.
    pub(crate) fn note(&mut self, base_offset: i64, position: u32, batch: &BatchHeader, interval_bytes: u32) {
        let relative_offset = (batch.last_offset() - base_offset) as u32;
        // One that compaction has emptied keeps its largest timestamp, but has no record that a look-up could find.
        if batch.max_timestamp > self.largest.timestamp && batch.records_count > 0 {
            self.largest = TimeEntry { timestamp: batch.max_timestamp, relative_offset };
        }
        if self.bytes_since_entry > interval_bytes {
            self.offsets.push(OffsetEntry { relative_offset, position });
            self.push_largest();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(batch.size_bytes() as u32);
    }

    pub(crate) fn offsets(&self) -> &IndexInMemory<OffsetEntry> {
        &self.offsets
    }

    pub(crate) fn times(&self) -> &IndexInMemory<TimeEntry> {
        &self.times
    }

    /// The largest timestamp so far; [`NO_TIMESTAMP`] before the first batch.
    pub(crate) fn largest(&self) -> TimeEntry {
        self.largest
    }

    /// Whether either file would outgrow `max_bytes` with the next entry. One time entry is kept for the roll.
    pub(crate) fn is_full(&self, max_bytes: u32) -> bool {
        let max_bytes = max_bytes as usize;
        self.offsets().count() >= max_bytes / OffsetEntry::SIZE_BYTES
            || self.times().count() + 1 >= max_bytes / TimeEntry::SIZE_BYTES
    }

    /// Writes what is new to the files, for a segment that goes on.
    pub(crate) fn write(&mut self, files: &PartitionFiles, base_offset: i64) -> io::Result<[DiskFile; 2]> {
        Ok([
            self.offsets.write(&files.path(base_offset, FileKind::OffsetIndex))?,
            self.times.write(&files.path(base_offset, FileKind::TimeIndex))?,
        ])
    }

    /// Writes the files for a segment that ends here: its largest timestamp is then the last time entry.
    pub(crate) fn finish(&mut self, files: &PartitionFiles, base_offset: i64) -> io::Result<[DiskFile; 2]> {
        self.push_largest();
        self.write(files, base_offset)
    }

    /// [`SegmentIndexes::finish`] for files that do not have their names yet.
    pub(crate) fn finish_at(&mut self, offsets: &Path, times: &Path) -> io::Result<[DiskFile; 2]> {
        self.push_largest();
        Ok([self.offsets.write(offsets)?, self.times.write(times)?])
    }

    fn push_largest(&mut self) {
        let last = self.times.last().ok().flatten();
        if self.largest.timestamp > last.map_or(NO_TIMESTAMP, |entry| entry.timestamp) {
            self.times.push(self.largest);
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::{Compression, batch::BatchBuilder};

    use super::*;

    fn note(indexes: &mut SegmentIndexes, position: u32, offset: i64, timestamp: i64) -> u32 {
        let mut batch = BatchBuilder::new(Compression::None).with_base_offset(offset);
        batch.push(timestamp, None, Some(&[0; 30])).unwrap();
        let header = BatchHeader::parse(&batch.build().unwrap()).unwrap();
        indexes.note(100, position, &header, 200);
        position + header.size_bytes() as u32
    }

    #[test]
    fn entries_are_where_kafka_puts_them() {
        let mut indexes = SegmentIndexes::new();
        let mut position = 0;
        for (offset, timestamp) in (100..).zip([10, 30, 20, 20, 40]) {
            position = note(&mut indexes, position, offset, timestamp);
        }
        let size = position / 5;
        assert!((67..=100).contains(&size), "three batches exceed the interval, two do not");
        let offsets: Vec<_> = (0..2).map_while(|slot| indexes.offsets().get(slot).ok()).collect();
        assert_eq!(offsets, [OffsetEntry { relative_offset: 3, position: 3 * size }]);
        assert_eq!(indexes.times().get(0).unwrap(), TimeEntry { timestamp: 30, relative_offset: 1 });
        assert_eq!(indexes.largest(), TimeEntry { timestamp: 40, relative_offset: 4 });
    }

    #[test]
    fn a_finished_segment_ends_with_its_largest_timestamp() {
        let dir = tempfile::tempdir().unwrap();
        let files = PartitionFiles::new(dir.path().to_owned());
        let mut indexes = SegmentIndexes::new();
        note(&mut indexes, 0, 100, 7);
        indexes.finish(&files, 100).unwrap();
        let loaded = SegmentIndexes::load(&files, 100, 1, u32::MAX).unwrap();
        assert_eq!(loaded.largest(), TimeEntry { timestamp: 7, relative_offset: 0 });
        assert_eq!(loaded.times().count() + loaded.offsets().count(), 1);
    }
}
