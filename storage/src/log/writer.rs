//! What only the append lock gives access to.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    active_segment::{ActiveSegment, Unsynced},
    disk::{self, DiskFile},
    partition_files::{FileKind, Lease, PartitionFiles},
    producer_snapshot,
    producer_state::ProducerStates,
    segment::Segment,
};

pub(super) struct LogWriter {
    files: Arc<PartitionFiles>,
    pub(super) active: ActiveSegment,
    pub(super) producers: ProducerStates,
    recovery_point: i64,
    /// Rolled since the last flush.
    unflushed: Vec<Arc<Segment>>,
    /// The offset of the producers' snapshot that the last flush wrote.
    flushed_snapshot: Option<i64>,
    /// The offset of the snapshot that was written last.
    stored_snapshot: Option<i64>,
}

/// What a flush brings to the disk, and how far the log is then safe.
pub(super) struct UnsyncedLog {
    end_offset: i64,
    rolled: Vec<(Arc<Segment>, Lease)>,
    active: Unsynced,
    producers: Option<PathBuf>,
    files: Arc<PartitionFiles>,
}

impl LogWriter {
    pub(super) fn new(
        files: Arc<PartitionFiles>,
        active: ActiveSegment,
        producers: ProducerStates,
        recovery_point: i64,
    ) -> LogWriter {
        LogWriter {
            files,
            active,
            producers,
            recovery_point,
            unflushed: Vec::new(),
            flushed_snapshot: None,
            stored_snapshot: None,
        }
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.active.segment().next_offset()
    }

    pub(super) fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// Ends the active segment and begins the next at the log end.
    pub(super) fn roll(&mut self, now_ms: i64) -> io::Result<&Arc<Segment>> {
        self.finish()?;
        let next = ActiveSegment::create(&self.files, self.end_offset(), now_ms)?;
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

    /// `None` when the last flush has left nothing to do.
    pub(super) fn unsynced(&mut self) -> io::Result<Option<UnsyncedLog>> {
        if self.recovery_point == self.end_offset() {
            return Ok(None);
        }
        let producers = self.store_producers()?;
        let active = self.active.write_indexes()?;
        let rolled = self.unflushed.iter().map(|segment| (Arc::clone(segment), segment.lease())).collect();
        let files = Arc::clone(&self.files);
        Ok(Some(UnsyncedLog { end_offset: self.end_offset(), rolled, active, producers, files }))
    }

    pub(super) fn flushed(&mut self, synced: &UnsyncedLog) {
        self.recovery_point = self.recovery_point.max(synced.end_offset);
        self.unflushed.drain(..synced.rolled.len());

        if let Some(replaced) = self.flushed_snapshot.replace(synced.end_offset)
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

impl UnsyncedLog {
    pub(super) fn sync(&self) -> io::Result<()> {
        for (segment, _lease) in &self.rolled {
            segment.paths().iter().try_for_each(|path| DiskFile::open_to_write(path)?.sync_all())?;
        }
        self.active.sync()?;
        if let Some(path) = &self.producers {
            DiskFile::open_to_write(path)?.sync_all()?;
        }
        disk::sync_dir(self.files.dir())
    }
}
