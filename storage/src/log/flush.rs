//! From the page cache to the disk.
//!
//! Two things are brought there, and one after the other: the records, so that they survive a power cut
//! ([`Log::sync`]); then what belongs to them, so that the next start believes them without a look ([`Log::flush`]).

use std::{io, iter, path::PathBuf, sync::Arc};

use thiserror::Error;

use super::{Log, LogStopped, LogWriter, State, WakeError, Writer};
use crate::{
    active_segment::UnsyncedRecords,
    disk::{self, DiskFile},
    partition_files::{FileKind, Lease, PartitionFiles},
    segment::Segment,
};

/// Why what was appended is not known to be on the disk.
#[derive(Debug, Error)]
#[error("cannot flush the log in {}: {source}", dir.display())]
pub struct FlushError {
    pub dir: PathBuf,
    pub source: io::Error,
}

impl Log {
    /// Waits until all records that were appended before this call are on the disk. Appends go on meanwhile; a call
    /// while another waits takes its turn, and often finds everything done.
    pub fn sync(&self) -> Result<(), FlushError> {
        if self.segments.read().state != State::Ready {
            return Ok(());
        }
        let _one_at_a_time = self.flushing.lock();
        let Some(unsynced) = self.take(LogWriter::unsynced)? else { return Ok(()) };
        unsynced.sync().map_err(|source| self.disk_failed(source))?;
        self.note_synced(&unsynced);
        Ok(())
    }

    /// As [`Log::sync`]; and the next start believes all of it without a look.
    pub fn flush(&self) -> Result<(), FlushError> {
        if self.segments.read().state != State::Ready {
            return Ok(());
        }
        let _one_at_a_time = self.flushing.lock();
        let Some(unflushed) = self.take(LogWriter::unflushed)? else { return Ok(()) };
        unflushed.flush().map_err(|source| self.disk_failed(source))?;
        self.note_synced(&unflushed.records);
        // A log that was stopped meanwhile has no use for a recovery point.
        let _ = self.with_writer(|writer| writer.flushed(&unflushed));
        Ok(())
    }

    /// Everything below is on the disk.
    pub fn synced_offset(&self) -> i64 {
        self.synced_offset.load() as i64
    }

    fn take<T>(
        &self,
        unsynced: fn(&mut LogWriter) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, FlushError> {
        match self.with_writer(unsynced) {
            Ok(unsynced) => unsynced.map_err(|source| self.flush_error(source)),
            Err(WakeError::Stopped(_)) => Ok(None),
            Err(WakeError::Io { source, .. }) => Err(self.flush_error(source)),
        }
    }

    fn note_synced(&self, unsynced: &UnsyncedLog) {
        // Under the append lock, for a roll moves it, too.
        let mut writer = self.writer.lock();
        if let Writer::Ready(ready) = &mut *writer {
            ready.synced(unsynced);
        }
        self.publish_synced(unsynced.end_offset);
    }

    /// For whoever holds the append lock.
    pub(super) fn publish_synced(&self, offset: i64) {
        self.synced_offset.publish(offset.max(self.synced_offset()) as u64);
    }

    /// The system tells of a page that it could not write once, and then takes it for written. So nothing that this log
    /// says about the disk could be believed any more.
    fn disk_failed(&self, source: io::Error) -> FlushError {
        self.stop(&mut self.writer.lock(), LogStopped::DiskFailed);
        self.flush_error(source)
    }

    pub(super) fn flush_error(&self, source: io::Error) -> FlushError {
        FlushError { dir: self.dir().to_owned(), source }
    }
}

/// Records that may be in the page cache alone.
pub(super) struct UnsyncedLog {
    pub(super) end_offset: i64,
    /// Rolled since the last sync, whole.
    pub(super) rolled: Vec<(Arc<Segment>, Lease)>,
    pub(super) active: UnsyncedRecords,
    /// Where a segment has begun since the last sync.
    pub(super) named_in: Option<PathBuf>,
}

/// What a flush brings to the disk besides the records.
pub(super) struct UnflushedLog {
    pub(super) records: UnsyncedLog,
    pub(super) rolled: Vec<(Arc<Segment>, Lease)>,
    pub(super) indexes: Vec<DiskFile>,
    pub(super) producers: Option<PathBuf>,
    pub(super) files: Arc<PartitionFiles>,
    /// Of the segment that begins at the end, if one does, for the producers' snapshot would go with it.
    pub(super) _end_lease: Lease,
}

impl UnsyncedLog {
    pub(super) fn sync(&self) -> io::Result<()> {
        for (_, lease) in &self.rolled {
            DiskFile::open_to_write(&lease.path(FileKind::Log))?.sync_all()?;
        }
        self.active.sync()?;
        self.named_in.as_deref().map_or(Ok(()), disk::sync_dir)
    }
}

impl UnflushedLog {
    fn flush(&self) -> io::Result<()> {
        self.records.sync()?;
        for (segment, lease) in &self.rolled {
            // The log once more, for it was cut to its length when it was ended.
            for kind in iter::once(FileKind::Log).chain(segment.indexes_on_disk()) {
                DiskFile::open_to_write(&lease.path(kind))?.sync_all()?;
            }
        }
        self.indexes.iter().try_for_each(DiskFile::sync_all)?;
        if let Some(path) = &self.producers {
            DiskFile::open_to_write(path)?.sync_all()?;
        }
        disk::sync_dir(self.files.dir())
    }
}
