//! Open, flush, close and delete.

use std::{io, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use uuid::Uuid;

use super::{FlushError, Log, LogWriter, Segments, State, TopicPartition, Writer};
use crate::{
    active_segment::ActiveSegment,
    config::LogConfig,
    disk::{self, DiskFile, is_disk_full},
    log::LogStopped,
    partition_files::{Deletion, FileKind, PartitionFiles, leftovers},
    partition_metadata,
    publish::{FirstUndecided, Watermark},
    recovery::{self, Known, Listing, Recovered, RecoveryOutcome, sealed_as_listed},
    transaction_index::TransactionIndex,
};

/// How a log was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// It was closed at this end offset.
    Clean { end_offset: i64 },
    /// It was not closed; everything below the recovery point is known to be sound.
    Unclean { recovery_point: i64 },
}

/// Why a log cannot be created or opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "{} is still being read although its topic was deleted; try again when those reads have ended",
        dir.display()
    )]
    InUse { dir: PathBuf },
    #[error("the disk is full: no room for a log in {}; free some space and try again", dir.display())]
    DiskFull { dir: PathBuf },
    #[error("cannot open the log in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
}

/// Why a deleted log's files are still there.
#[derive(Debug, Error)]
#[error("cannot remove {}: {source}; the next start sets it aside", dir.display())]
pub struct DeleteError {
    pub dir: PathBuf,
    pub source: io::Error,
}

/// How a closed log is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseOutcome {
    pub end_offset: i64,
    /// Somebody still reads, so that space which was allocated ahead could not be given back.
    pub still_mapped: bool,
}

impl Log {
    /// Makes the directory of a partition that begins at offset 0.
    pub fn create(
        dir: PathBuf,
        topic_partition: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log, OpenError> {
        match disk::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(OpenError::InUse { dir });
            }
            created => created.map_err(|source| OpenError::from_io(&dir, source))?,
        }
        let files = PartitionFiles::new(dir);
        let active = partition_metadata::store(files.dir(), topic_id)
            .and_then(|()| ActiveSegment::create(&files, 0, now_ms))
            .map_err(|source| OpenError::from_io(files.dir(), source))?;
        if config.survives_power_cut() {
            sync_new(&files).map_err(|source| OpenError::from_io(files.dir(), source))?;
        }
        let log = Log::dormant(files, topic_partition, config, 0, now_ms);
        let writer = log.install(Recovered::empty(active), 0);
        *log.writer.lock() = Writer::Ready(writer);
        Ok(log)
    }

    /// Opens what is there. A directory without a segment becomes a log that begins at `log_start_offset`.
    pub fn open(
        dir: PathBuf,
        topic_partition: TopicPartition,
        config: LogConfig,
        start: LogStart,
        log_start_offset: i64,
        now_ms: i64,
    ) -> Result<(Log, RecoveryOutcome), OpenError> {
        let files = PartitionFiles::new(dir);
        let log = Log::dormant(files, topic_partition, config, log_start_offset, now_ms);
        let outcome = log.open_files(start).map_err(|source| OpenError::from_io(log.dir(), source))?;
        if log.config().flush_messages == 1 {
            // Only then may it be read.
            log.sync().map_err(|FlushError { dir, source }| OpenError::Io { dir, source })?;
        }
        Ok((log, outcome))
    }

    /// Forgets producers that have written nothing for `expiration_ms` (`producer.id.expiration.ms`).
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        if let Writer::Ready(writer) = &mut *self.writer.lock() {
            writer.producers.expire(now_ms, expiration_ms);
            writer.verifications.expire(now_ms, expiration_ms);
        }
    }

    /// From where on the log has to be checked after a kill.
    pub fn recovery_point(&self) -> i64 {
        match &*self.writer.lock() {
            Writer::Ready(writer) => writer.recovery_point(),
            Writer::Dormant { end_offset } => *end_offset,
            Writer::Stopped(_) => self.end_offset(),
        }
    }

    /// Writes the indexes and the producers, and unmaps. Appends and reads are refused from here on; bytes that were
    /// read before stay valid.
    pub fn close(&self) -> Result<CloseOutcome, FlushError> {
        let mut writer = self.writer.lock();
        if let Writer::Ready(ready) = &mut *writer {
            ready.finish().map_err(|source| self.flush_error(source))?;
        }
        self.stop(&mut writer, LogStopped::Closed);
        self.files.hand_over();
        Ok(CloseOutcome { end_offset: self.end_offset(), still_mapped: self.files.is_leased() })
    }

    /// Refuses everything from here on, and removes the directory as soon as nobody reads it.
    pub fn delete(&self) -> Result<Deletion, DeleteError> {
        self.stop(&mut self.writer.lock(), LogStopped::Deleted);
        self.files.delete().map_err(|source| DeleteError { dir: self.dir().to_owned(), source })
    }

    pub(super) fn stop(&self, writer: &mut Writer, reason: LogStopped) {
        self.segments.write().state = State::Stopped(reason);
        if let Writer::Ready(ready) = std::mem::replace(writer, Writer::Stopped(reason)) {
            ready.seal();
        }
    }

    fn dormant(
        files: Arc<PartitionFiles>,
        topic_partition: TopicPartition,
        config: LogConfig,
        log_start_offset: i64,
        opened_ms: i64,
    ) -> Log {
        Log {
            topic_partition,
            files,
            config: RwLock::new(Arc::new(config)),
            segments: RwLock::new(Segments { state: State::Dormant, log_start_offset, list: Vec::new() }),
            leader_epochs: RwLock::default(),
            first_undecided: FirstUndecided::none(),
            writer: Mutex::new(Writer::Dormant { end_offset: log_start_offset }),
            flushing: Mutex::default(),
            cleaned_to: Mutex::default(),
            synced_offset: Watermark::new(log_start_offset as u64),
            opened_ms,
        }
    }

    fn open_files(&self, start: LogStart) -> io::Result<RecoveryOutcome> {
        let mut listing = Listing::of(&leftovers::clear(&self.files)?);
        if listing.bases.is_empty() {
            let base_offset = self.start_offset();
            DiskFile::create_new(&self.files.path(base_offset, FileKind::Log))?;
            listing.bases.insert(base_offset);
        }
        listing.drop_below(&self.files, self.start_offset())?;
        match start {
            LogStart::Clean { end_offset }
                if self.start_offset() <= end_offset
                    && listing.bases.range(end_offset + 1..).next().is_none() =>
            {
                self.list_segments(&listing, end_offset)
            }
            LogStart::Clean { .. } => self.recover(&listing, 0),
            LogStart::Unclean { recovery_point } => self.recover(&listing, recovery_point),
        }
    }

    fn recover(&self, listing: &Listing, recovery_point: i64) -> io::Result<RecoveryOutcome> {
        let config = self.config();
        let known = Known {
            recovery_point,
            log_start_offset: self.start_offset(),
            clean: false,
            index_interval_bytes: config.index_interval_bytes,
            now_ms: self.opened_ms,
            durability: config.durability(),
        };
        let recovered = recovery::recover(&self.files, listing, known)?;
        let outcome = recovered.outcome.clone();
        let writer = self.install(recovered, recovery_point);
        *self.writer.lock() = Writer::Ready(writer);
        Ok(outcome)
    }

    fn list_segments(&self, listing: &Listing, end_offset: i64) -> io::Result<RecoveryOutcome> {
        let list = listing
            .ranges()
            .map(|(base, next)| {
                // Whoever reads wakes the log first, and then gets segments that know what was aborted.
                let aborted = TransactionIndex::default();
                sealed_as_listed(&self.files, base, next.unwrap_or(end_offset), aborted)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let mut segments = self.segments.write();
        segments.log_start_offset = segments.log_start_offset.max(listing.first_base()).min(end_offset);
        segments.list = list;
        self.synced_offset.publish(end_offset as u64);
        *self.writer.lock() = Writer::Dormant { end_offset };
        Ok(RecoveryOutcome::untouched(end_offset))
    }

    pub(super) fn install(&self, recovered: Recovered, recovery_point: i64) -> Box<LogWriter> {
        let Recovered { sealed, active, producers, leader_epochs, .. } = recovered;
        let recovery_point = recovery_point.min(active.segment().next_offset());
        let unflushed =
            sealed.iter().filter(|segment| segment.next_offset() > recovery_point).cloned().collect();
        let mut list = sealed;
        list.push(Arc::clone(active.segment()));
        let mut segments = self.segments.write();
        let first_base = list.first().map_or(0, |segment| segment.base_offset());
        segments.log_start_offset =
            segments.log_start_offset.max(first_base).min(active.segment().next_offset());
        segments.list = list;
        self.first_undecided.publish(producers.first_undecided_offset());
        segments.state = State::Ready;
        *self.leader_epochs.write() = leader_epochs;
        self.synced_offset.publish(recovery_point as u64);
        Box::new(LogWriter::new(Arc::clone(&self.files), active, producers, recovery_point, unflushed))
    }
}

/// The names of a new partition's files, and its own, must be on the disk before metadata tells of it.
fn sync_new(files: &PartitionFiles) -> io::Result<()> {
    partition_metadata::sync(files.dir())?;
    disk::sync_dir(files.dir())?;
    files.dir().parent().map_or(Ok(()), disk::sync_dir)
}

impl OpenError {
    pub(crate) fn from_io(dir: &std::path::Path, source: io::Error) -> OpenError {
        let dir = dir.to_owned();
        if is_disk_full(&source) { OpenError::DiskFull { dir } } else { OpenError::Io { dir, source } }
    }
}
