//! What only the append lock gives access to.

use std::{io, path::PathBuf, sync::Arc};

use super::flush::{UnflushedLog, UnsyncedLog};
use crate::{
    active_segment::ActiveSegment,
    config::Durability,
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
    /// Rolled since the last flush.
    unflushed: Vec<Rolled>,
    /// Records below are on the disk.
    synced_offset: i64,
    /// Whether the names of all segments are on the disk.
    names_synced: bool,
    /// The offset of the producers' snapshot that the last flush wrote.
    flushed_snapshot: Option<i64>,
    /// The offset of the snapshot that was written last.
    stored_snapshot: Option<i64>,
    disk_has_failed: bool,
}

struct Rolled {
    segment: Arc<Segment>,
    /// The records are on the disk, but not the rest.
    is_synced: bool,
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
            unflushed: unflushed.into_iter().map(|segment| Rolled { segment, is_synced: false }).collect(),
            synced_offset: recovery_point,
            names_synced: false,
            flushed_snapshot: None,
            stored_snapshot: None,
            disk_has_failed: false,
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

    /// A sync was refused, so that nothing is known about the disk any more.
    pub(super) fn disk_has_failed(&self) -> bool {
        self.disk_has_failed
    }

    /// Records below are on the disk.
    pub(super) fn synced_offset(&self) -> i64 {
        self.synced_offset
    }

    /// Ends the active segment and begins the next at the log end.
    ///
    /// Where records survive a power cut, all of them are on the disk before the next segment has a name: then no power
    /// cut leaves a segment without those before it, and recovery may believe a gap, which only compaction has made. The
    /// append that rolls waits for that; it is what was appended since the last sync, at most what `flush.ms` allows.
    pub(super) fn roll(&mut self, now_ms: i64, durability: Durability) -> io::Result<&Arc<Segment>> {
        self.finish()?;
        if durability == Durability::Power {
            self.sync()?;
        }
        let next = ActiveSegment::create(&self.files, self.end_offset(), now_ms)?;
        self.names_synced = false;
        let is_synced = self.active.is_synced();
        let segment = std::mem::replace(&mut self.active, next).seal();
        self.unflushed.push(Rolled { segment, is_synced });
        Ok(self.active.segment())
    }

    /// Waits until everything is on the disk. Nobody appends meanwhile.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(unsynced) = self.unsynced()? else { return Ok(()) };
        if let Err(error) = unsynced.sync() {
            self.disk_has_failed = true;
            return Err(error);
        }
        self.synced(&unsynced);
        Ok(())
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
            rolled: leased(self.unflushed.iter()),
            files: Arc::clone(&self.files),
            _end_lease: self.files.lease(self.end_offset()),
        }))
    }

    fn records(&self) -> UnsyncedLog {
        UnsyncedLog {
            end_offset: self.end_offset(),
            rolled: leased(self.unflushed.iter().filter(|rolled| !rolled.is_synced)),
            active: self.active.unsynced(),
            named_in: (!self.names_synced).then(|| self.files.dir().to_owned()),
        }
    }

    pub(super) fn synced(&mut self, synced: &UnsyncedLog) {
        self.synced_offset = self.synced_offset.max(synced.end_offset);
        for rolled in &mut self.unflushed {
            rolled.is_synced |= rolled.is_in(&synced.rolled);
        }
        // A segment that began meanwhile has a name that is not.
        self.names_synced |= self.active.synced(&synced.active);
    }

    /// To be called after [`LogWriter::synced`].
    pub(super) fn flushed(&mut self, flushed: &UnflushedLog) {
        let end_offset = flushed.records.end_offset;
        self.recovery_point = self.recovery_point.max(end_offset);
        self.unflushed.retain(|rolled| !rolled.is_in(&flushed.rolled));
        if let Some(replaced) = self.flushed_snapshot.replace(end_offset)
            && !self.files.path(replaced, FileKind::Log).exists()
        {
            // What stays is removed at the next start.
            let _ = disk::remove_file(&self.files.path(replaced, FileKind::ProducerSnapshot));
        }
    }

    /// No flush has to care for segments that are no part of the log any more.
    pub(super) fn forget(&mut self, gone: &[Arc<Segment>]) {
        self.unflushed.retain(|rolled| !gone.iter().any(|gone| Arc::ptr_eq(gone, &rolled.segment)));
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

impl Rolled {
    fn is_in(&self, segments: &[(Arc<Segment>, Lease)]) -> bool {
        segments.iter().any(|(segment, _)| Arc::ptr_eq(segment, &self.segment))
    }
}

fn leased<'a>(rolled: impl Iterator<Item = &'a Rolled>) -> Vec<(Arc<Segment>, Lease)> {
    let leased = |Rolled { segment, .. }: &Rolled| Some((Arc::clone(segment), segment.lease().ok()?));
    rolled.filter_map(leased).collect()
}
