//! What only the append lock gives access to.

use std::{io, path::PathBuf, sync::Arc};

use super::flush::{UnflushedLog, UnsyncedLog};
use crate::{
    active_segment::ActiveSegment,
    disk,
    partition_files::{FileKind, Lease, PartitionFiles},
    producer_snapshot,
    producer_state::{ProducerStates, Verifications},
    segment::Segment,
};

pub(super) struct LogWriter {
    files: Arc<PartitionFiles>,
    pub(super) active: ActiveSegment,
    pub(super) producers: ProducerStates,
    pub(super) verifications: Verifications,
    recovery_point: i64,
    /// Rolled since the last flush; of the first ones the records are on the disk, but not the rest.
    unflushed: Vec<Arc<Segment>>,
    synced_segments: usize,
    /// Records below are on the disk.
    synced_offset: i64,
    /// Whether the names of all segments are on the disk.
    names_synced: bool,
    /// The offset of the producers' snapshot that the last flush wrote.
    flushed_snapshot: Option<i64>,
    /// The offset of the snapshot that was written last.
    stored_snapshot: Option<i64>,
}

impl LogWriter {
    pub(super) fn new(
        files: Arc<PartitionFiles>,
        active: ActiveSegment,
        producers: ProducerStates,
        recovery_point: i64,
        unflushed: Vec<Arc<Segment>>,
    ) -> LogWriter {
        LogWriter {
            files,
            active,
            producers,
            verifications: Verifications::default(),
            recovery_point,
            unflushed,
            synced_segments: 0,
            synced_offset: recovery_point,
            names_synced: false,
            flushed_snapshot: None,
            stored_snapshot: None,
        }
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.active.segment().next_offset()
    }

    /// Below it every transaction is decided. On one node nothing waits for replication.
    pub(super) fn last_stable_offset(&self) -> i64 {
        self.producers.first_undecided_offset().unwrap_or(self.end_offset())
    }

    pub(super) fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// Ends the active segment and begins the next at the log end.
    pub(super) fn roll(&mut self, now_ms: i64) -> io::Result<&Arc<Segment>> {
        self.finish()?;
        let next = ActiveSegment::create(&self.files, self.end_offset(), now_ms)?;
        self.names_synced = false;
        self.unflushed.push(std::mem::replace(&mut self.active, next).seal());
        Ok(self.active.segment())
    }

    /// Writes indexes and producers as they are at the log end. May be repeated.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.active.finish_indexes()?;
        self.store_producers().map(drop)
    }

    /// To be called after [`LogWriter::finish`], or when the files are not needed any more.
    pub(super) fn seal(self) {
        self.active.seal();
    }

    /// `None` when everything is on the disk.
    pub(super) fn unsynced(&mut self) -> io::Result<Option<UnsyncedLog>> {
        Ok((self.synced_offset < self.end_offset()).then(|| self.records()))
    }

    /// `None` when the last flush has left nothing to do.
    pub(super) fn unflushed(&mut self) -> io::Result<Option<UnflushedLog>> {
        if self.recovery_point == self.end_offset() {
            return Ok(None);
        }
        Ok(Some(UnflushedLog {
            producers: self.store_producers()?,
            indexes: self.active.write_indexes()?,
            records: self.records(),
            rolled: leased(&self.unflushed),
            files: Arc::clone(&self.files),
        }))
    }

    fn records(&self) -> UnsyncedLog {
        UnsyncedLog {
            end_offset: self.end_offset(),
            rolled: leased(&self.unflushed[self.synced_segments..]),
            active: self.active.unsynced(),
            named_in: (!self.names_synced).then(|| self.files.dir().to_owned()),
        }
    }

    pub(super) fn synced(&mut self, synced: &UnsyncedLog) {
        self.synced_offset = self.synced_offset.max(synced.end_offset);
        self.synced_segments += synced.rolled.len();
        self.active.synced(&synced.active);
        // A segment that began meanwhile has a name that is not.
        self.names_synced |= self.synced_segments == self.unflushed.len();
    }

    /// To be called after [`LogWriter::synced`].
    pub(super) fn flushed(&mut self, flushed: &UnflushedLog) {
        let end_offset = flushed.records.end_offset;
        self.recovery_point = self.recovery_point.max(end_offset);
        self.unflushed.drain(..flushed.rolled.len());
        self.synced_segments -= flushed.rolled.len();
        if let Some(replaced) = self.flushed_snapshot.replace(end_offset)
            && !self.files.path(replaced, FileKind::Log).exists()
        {
            // What stays is removed at the next start.
            let _ = disk::remove_file(&self.files.path(replaced, FileKind::ProducerSnapshot));
        }
    }

    /// The snapshot's file; an empty log has none. One that is there already may be open: a flush syncs it.
    fn store_producers(&mut self) -> io::Result<Option<PathBuf>> {
        let end_offset = self.end_offset();
        if end_offset == 0 {
            return Ok(None);
        }
        let path = self.files.path(end_offset, FileKind::ProducerSnapshot);
        if self.stored_snapshot != Some(end_offset) {
            producer_snapshot::store(&path, &self.producers)?;
            self.stored_snapshot = Some(end_offset);
        }
        Ok(Some(path))
    }
}

fn leased(segments: &[Arc<Segment>]) -> Vec<(Arc<Segment>, Lease)> {
    segments.iter().map(|segment| (Arc::clone(segment), segment.lease())).collect()
}
