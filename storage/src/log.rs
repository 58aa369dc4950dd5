//! One partition's log.

mod append;
mod compact;
mod flush;
mod lifecycle;
mod lookup;
mod marker;
mod producers;
mod read;
mod recall;
mod replace;
mod retention;
mod start;
mod validate;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use append::{AppendContext, AppendError, AppendOrigin, AppendOutcome, FlushDue};
pub use compact::{CompactionError, CompactionOutcome, CompactionRequest, Dirtiness};
pub use flush::FlushError;
pub use lifecycle::{CloseOutcome, DeleteError, LogStart, OpenError};
pub use marker::{MarkerError, TransactionMarker, TransactionOutcome};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
pub use producers::ActiveProducer;
pub use read::{Isolation, ReadError, ReadOutcome};
pub use replace::ReplaceError;
pub use retention::RetentionError;
pub use start::StartOffsetError;
use thiserror::Error;
pub use validate::RecordRefused;
use writer::LogWriter;

use crate::{
    config::LogConfig,
    leader_epochs::LeaderEpochs,
    partition_files::PartitionFiles,
    publish::{FirstUndecided, Watermark},
    recovery::{self, Known, Listing},
    segment::Segment,
};

/// A partition's name; its directory is `<topic>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition's log: shared by reference, appended to under a short lock, read without it.
///
/// A log that was left by an earlier broker is *unopened*: its files are looked at when it is used, or by
/// [`Log::check_files`]. After a clean stop it is then *dormant*: it knows its start and end, and reads its last segment when
/// records go in or out.
pub struct Log {
    topic_partition: TopicPartition,
    files: Arc<PartitionFiles>,
    config: RwLock<Arc<LogConfig>>,
    segments: RwLock<Segments>,
    leader_epochs: RwLock<LeaderEpochs>,
    first_undecided: FirstUndecided,
    writer: Mutex<Writer>,
    /// Held while a flush waits for the disk; appends go on.
    flushing: Mutex<()>,
    /// Records below are on the disk.
    synced_offset: Watermark,
    /// Where the last compaction ended.
    cleaned_to: Mutex<Option<i64>>,
    opened_ms: i64,
}

/// What readers start from. The last segment is the one that is appended to.
struct Segments {
    state: State,
    log_start_offset: i64,
    list: Vec<Arc<Segment>>,
    /// Up to where an unopened log is known to reach.
    left_at_offset: i64,
}

/// Which variant the writer is, for readers, who do not take its lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unopened,
    Dormant,
    Ready,
    Stopped(LogStopped),
}

enum Writer {
    Unopened(LogStart),
    Dormant { end_offset: i64 },
    Ready(Box<LogWriter>),
    Stopped { reason: LogStopped, recovery_point: i64 },
}

/// Why a log does nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LogStopped {
    #[error("the log is closed: the broker is stopping")]
    Closed,
    #[error("the log is deleted")]
    Deleted,
    /// What the disk has of it is unknown, and asking again would not tell.
    #[error(
        "the disk did not take what was written to the log; look after the disk, then start the broker again"
    )]
    DiskFailed,
}

impl Segments {
    fn end_offset(&self) -> i64 {
        self.list.last().map_or(self.left_at_offset, |active| active.next_offset())
    }

    /// The segment that holds `offset`, and those behind it.
    fn from(&self, offset: i64) -> &[Arc<Segment>] {
        let behind = self.list.partition_point(|segment| segment.base_offset() <= offset);
        &self.list[behind.saturating_sub(1)..]
    }
}

impl Log {
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    pub fn dir(&self) -> &Path {
        self.files.dir()
    }

    /// The offset of the first record that may be read.
    pub fn start_offset(&self) -> i64 {
        self.opened_segments().log_start_offset
    }

    /// The offset of the next record.
    pub fn end_offset(&self) -> i64 {
        self.opened_segments().end_offset()
    }

    /// The batches of all segments, without indexes and without space that is allocated ahead.
    pub fn size_bytes(&self) -> u64 {
        self.opened_segments().list.iter().map(|segment| u64::from(segment.end().position)).sum()
    }

    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read())
    }

    /// Applies from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        // What could be read before may be read then, too.
        if config.flush_messages == 1 {
            // A log that cannot be opened has nothing to read.
            let _ = self.check_files();
            self.sync_or_say();
        }
        self.files.set_durability(config.durability());
        let begins_to_survive = config.survives_power_cut() && !self.config().survives_power_cut();
        *self.config.write() = Arc::new(config);
        // Of segments that were rolled before, a power cut might leave later ones without the earlier.
        if begins_to_survive {
            self.sync_or_say();
        }
    }

    fn sync_or_say(&self) {
        if let Err(error) = self.sync() {
            tracing::error!("{error}");
        }
    }

    /// The segments, of an unopened log after a look at its files. Where that fails they are as the last broker said,
    /// and whoever appends or reads gets the error.
    fn opened_segments(&self) -> RwLockReadGuard<'_, Segments> {
        let segments = self.segments.read();
        if segments.state != State::Unopened {
            return segments;
        }
        drop(segments);
        let _ = self.check_files();
        self.segments.read()
    }

    /// Reads the files of a dormant log.
    fn wake(&self) -> Result<(), WakeError> {
        self.with_writer(|_| ())
    }

    /// Runs `act` under the append lock.
    fn with_writer<R>(&self, act: impl FnOnce(&mut LogWriter) -> R) -> Result<R, WakeError> {
        let mut writer = self.writer.lock();
        loop {
            match &mut *writer {
                Writer::Ready(ready) => {
                    let done = act(ready);
                    if ready.disk_has_failed() {
                        self.stop(&mut writer, LogStopped::DiskFailed);
                    }
                    return Ok(done);
                }
                Writer::Stopped { reason, .. } => return Err(WakeError::Stopped(*reason)),
                &mut Writer::Unopened(start) => {
                    let opened = self.open_files(&mut writer, start);
                    opened.map_err(|source| WakeError::Io { dir: self.dir().to_owned(), source })?;
                }
                &mut Writer::Dormant { end_offset } => *writer = Writer::Ready(self.recovered(end_offset)?),
            }
        }
    }

    fn recovered(&self, end_offset: i64) -> Result<Box<LogWriter>, WakeError> {
        let known = Known {
            recovery_point: end_offset,
            log_start_offset: self.segments.read().log_start_offset,
            clean: true,
            index_interval_bytes: self.config().index_interval_bytes,
            now_ms: self.opened_ms,
            durability: self.config().durability(),
        };
        let recovered = self
            .files
            .list()
            .and_then(|names| recovery::recover(&self.files, &Listing::of(&names), known))
            .map_err(|source| WakeError::Io { dir: self.dir().to_owned(), source })?;
        if recovered.outcome.truncation.is_some() {
            tracing::error!("the files of log {} are damaged: {}", self.topic_partition, recovered.outcome);
        }
        Ok(self.install(recovered, end_offset))
    }
}

/// Why a log cannot be used.
#[derive(Debug, Error)]
pub(crate) enum WakeError {
    #[error(transparent)]
    Stopped(LogStopped),
    #[error("cannot open the log in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
}
