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

/// What checkpoints keep of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogOffsets {
    pub(crate) recovery_point: i64,
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
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
    /// It was left by a kill, and nobody has looked at it since.
    pub unchecked: bool,
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
        let start = LogStart::Clean { end_offset: 0 };
        let log = Log::unopened(files, topic_partition, config, start, 0, now_ms);
        let writer = log.install(Recovered::empty(active), 0);
        *log.writer.lock() = Writer::Ready(writer);
        Ok(log)
    }

    /// A log that an earlier broker has left, unopened: its files are looked at when it is used. A directory without a
    /// segment becomes a log that begins at `log_start_offset`.
    pub fn left(
        dir: PathBuf,
        topic_partition: TopicPartition,
        config: LogConfig,
        start: LogStart,
        log_start_offset: i64,
        now_ms: i64,
    ) -> Log {
        Log::unopened(PartitionFiles::new(dir), topic_partition, config, start, log_start_offset, now_ms)
    }

    /// [`Log::left`] and [`Log::check_files`] in one.
    pub fn open(
        dir: PathBuf,
        topic_partition: TopicPartition,
        config: LogConfig,
        start: LogStart,
        log_start_offset: i64,
        now_ms: i64,
    ) -> Result<(Log, RecoveryOutcome), OpenError> {
        let log = Log::left(dir, topic_partition, config, start, log_start_offset, now_ms);
        let outcome = log.check_files()?;
        Ok((log, outcome))
    }

    /// Looks at the files of an unopened log: after a kill everything past the recovery point is checked, and what is
    /// not sound is cut; what is left is on the disk, if it has to be. Of any other log nothing is touched.
    pub fn check_files(&self) -> Result<RecoveryOutcome, OpenError> {
        let mut writer = self.writer.lock();
        match &*writer {
            &Writer::Unopened(start) => {
                self.open_files(&mut writer, start).map_err(|source| OpenError::from_io(self.dir(), source))
            }
            _ => Ok(RecoveryOutcome::untouched(self.segments.read().end_offset())),
        }
    }

    /// Whether a kill has left the log, and nobody has looked at its files since.
    pub fn is_unchecked(&self) -> bool {
        self.writer.lock().is_unchecked()
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
            Writer::Unopened(start) => start.known_offset(),
            Writer::Dormant { end_offset } => *end_offset,
            Writer::Stopped { recovery_point, .. } => *recovery_point,
        }
    }

    /// What the next start has to know. Of an unopened log it is what this start knew.
    pub(crate) fn offsets(&self) -> LogOffsets {
        let recovery_point = self.recovery_point();
        let segments = self.segments.read();
        LogOffsets {
            recovery_point,
            start_offset: segments.log_start_offset,
            end_offset: segments.end_offset(),
        }
    }

    /// Whether there are records past the recovery point that a flush would bring to the disk.
    pub fn is_unflushed(&self) -> bool {
        matches!(&*self.writer.lock(), Writer::Ready(writer) if writer.recovery_point() < writer.end_offset())
    }

    /// Writes the indexes and the producers, and unmaps. Appends and reads are refused from here on; bytes that were
    /// read before stay valid.
    pub fn close(&self) -> Result<CloseOutcome, FlushError> {
        let mut writer = self.writer.lock();
        if let Writer::Ready(ready) = &mut *writer {
            ready.finish().map_err(|source| self.flush_error(source))?;
        }
        let unchecked = writer.is_unchecked();
        self.stop(&mut writer, LogStopped::Closed);
        self.files.hand_over();
        let end_offset = self.segments.read().end_offset();
        Ok(CloseOutcome { end_offset, unchecked, still_mapped: self.files.is_leased() })
    }

    /// Refuses everything from here on, and removes the directory as soon as nobody reads it.
    pub fn delete(&self) -> Result<Deletion, DeleteError> {
        self.stop(&mut self.writer.lock(), LogStopped::Deleted);
        self.files.delete().map_err(|source| DeleteError { dir: self.dir().to_owned(), source })
    }

    pub(super) fn stop(&self, writer: &mut Writer, reason: LogStopped) {
        self.segments.write().state = State::Stopped(reason);
        let recovery_point = writer.recovery_point_when_stopped(reason);
        if let Writer::Ready(ready) = std::mem::replace(writer, Writer::Stopped { reason, recovery_point }) {
            ready.seal();
        }
    }

    fn unopened(
        files: Arc<PartitionFiles>,
        topic_partition: TopicPartition,
        config: LogConfig,
        start: LogStart,
        log_start_offset: i64,
        opened_ms: i64,
    ) -> Log {
        files.set_durability(config.durability());
        let left_at_offset = start.known_offset().max(log_start_offset);
        let segments =
            Segments { state: State::Unopened, log_start_offset, list: Vec::new(), left_at_offset };
        Log {
            topic_partition,
            files,
            config: RwLock::new(Arc::new(config)),
            segments: RwLock::new(segments),
            leader_epochs: RwLock::default(),
            first_undecided: FirstUndecided::none(),
            writer: Mutex::new(Writer::Unopened(start)),
            flushing: Mutex::default(),
            cleaned_to: Mutex::default(),
            synced_offset: Watermark::new(log_start_offset as u64),
            opened_ms,
        }
    }

    /// Makes the writer of an unopened log a dormant one or a ready one.
    pub(super) fn open_files(&self, writer: &mut Writer, start: LogStart) -> io::Result<RecoveryOutcome> {
        let mut listing = Listing::of(&leftovers::clear(&self.files)?);
        let log_start_offset = self.segments.read().log_start_offset;
        if listing.bases.is_empty() {
            DiskFile::create_new(&self.files.path(log_start_offset, FileKind::Log))?;
            listing.bases.insert(log_start_offset);
        }
        listing.drop_below(&self.files, log_start_offset)?;
        let outcome = match start {
            LogStart::Clean { end_offset }
                if log_start_offset <= end_offset
                    && listing.bases.range(end_offset + 1..).next().is_none() =>
            {
                self.list_segments(writer, &listing, end_offset)
            }
            LogStart::Clean { .. } => self.recover(writer, &listing, 0),
            LogStart::Unclean { recovery_point } => self.recover(writer, &listing, recovery_point),
        }?;
        self.cleaned_no_further_than(outcome.end_offset);
        Ok(outcome)
    }

    fn recover(
        &self,
        writer: &mut Writer,
        listing: &Listing,
        recovery_point: i64,
    ) -> io::Result<RecoveryOutcome> {
        let config = self.config();
        let known = Known {
            recovery_point,
            log_start_offset: self.segments.read().log_start_offset,
            clean: false,
            index_interval_bytes: config.index_interval_bytes,
            now_ms: self.opened_ms,
            durability: config.durability(),
        };
        let recovered = recovery::recover(&self.files, listing, known)?;
        let outcome = recovered.outcome.clone();
        if outcome.truncation.is_some() {
            tracing::warn!("{}: {outcome}", self.topic_partition);
        }
        let mut ready = self.install(recovered, recovery_point);
        // The last broker may have died before `flush.ms` was over, or have promised less.
        let synced = if config.survives_power_cut() { ready.sync() } else { Ok(()) };
        self.publish_synced(ready.synced_offset());
        *writer = Writer::Ready(ready);
        if synced.is_err() {
            self.stop(writer, LogStopped::DiskFailed);
        }
        synced.map(|()| outcome)
    }

    fn list_segments(
        &self,
        writer: &mut Writer,
        listing: &Listing,
        end_offset: i64,
    ) -> io::Result<RecoveryOutcome> {
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
        segments.state = State::Dormant;
        self.synced_offset.publish(end_offset as u64);
        *writer = Writer::Dormant { end_offset };
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

impl LogStart {
    /// Up to where the log reaches at least.
    fn known_offset(self) -> i64 {
        match self {
            LogStart::Clean { end_offset } => end_offset,
            LogStart::Unclean { recovery_point } => recovery_point,
        }
    }
}

impl Writer {
    fn is_unchecked(&self) -> bool {
        matches!(self, Writer::Unopened(LogStart::Unclean { .. }))
    }

    /// From where on a log has to be checked that is stopped now. What is closed was finished before.
    fn recovery_point_when_stopped(&self, reason: LogStopped) -> i64 {
        match self {
            Writer::Unopened(start) => start.known_offset(),
            Writer::Dormant { end_offset } => *end_offset,
            Writer::Ready(writer) if reason == LogStopped::Closed => writer.end_offset(),
            Writer::Ready(writer) => writer.recovery_point(),
            Writer::Stopped { recovery_point, .. } => *recovery_point,
        }
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
