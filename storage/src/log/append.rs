//! From a producer's bytes to published records.

use std::{io, path::PathBuf, sync::Arc};

use ottla_protocol::batch::{self, BatchError, BatchHeader, TimestampType};
use thiserror::Error;

use super::{
    Log, LogStopped, WakeError,
    validate::{self, RecordRefused, ValidBatch},
    writer::LogWriter,
};
use crate::{
    active_segment::Incoming,
    config::LogConfig,
    disk::{self, is_disk_full},
    leader_epochs,
    producer_state::{CachedBatch, SequenceError, Verdict, VerificationGuard},
};

#[derive(Clone, Copy, Debug)]
pub struct AppendContext {
    pub leader_epoch: i32,
    pub now_ms: i64,
    pub origin: AppendOrigin,
    /// What [`Log::start_transaction_verification`] gave for a batch that begins a transaction here.
    pub verification: Option<VerificationGuard>,
}

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: one batch, which is not believed.
    Client,
    /// The broker itself: any number of batches, whose records are not checked again, and which have no sequences.
    Coordinator,
}

/// Where the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The broker's time in the records, or `None` where they keep their producer's.
    pub log_append_time_ms: Option<i64>,
    pub log_start_offset: i64,
    /// After the append: below it every transaction is decided.
    pub last_stable_offset: i64,
    /// The batch was there already: a producer had sent it again.
    pub duplicate: bool,
    /// A segment was ended to make room.
    pub rolled: bool,
    pub flush: FlushDue,
}

/// When what was appended has to be on the disk (`flush.messages`, `flush.ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushDue {
    BeforeAcknowledgement,
    After {
        ms: i64,
    },
    /// When the operating system or a checkpoint brings it there.
    Whenever,
}

/// Why nothing was appended.
#[derive(Debug, Error)]
pub enum AppendError {
    #[error(transparent)]
    Batch(BatchError),
    #[error(transparent)]
    InvalidRecord(#[from] RecordRefused),
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    #[error("a batch of {size_bytes} bytes exceeds max.message.bytes={max_bytes}")]
    MessageTooLarge { size_bytes: usize, max_bytes: u32 },
    #[error("{size_bytes} bytes do not fit in a segment of segment.bytes={segment_bytes}")]
    RecordListTooLarge { size_bytes: usize, segment_bytes: u32 },
    #[error(
        "timestamp {timestamp} is not between {earliest} and {latest}, which message.timestamp.before.max.ms and \
         message.timestamp.after.max.ms allow"
    )]
    InvalidTimestamp { timestamp: i64, earliest: i64, latest: i64 },
    #[error("the disk is full: no room for records in {}; free some space and send again", dir.display())]
    DiskFull { dir: PathBuf },
    #[error("cannot append to the log in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Stopped(LogStopped),
}

impl Log {
    /// Checks the batches, gives them offsets, and shows them to readers. All of them are appended or none.
    pub fn append(&self, records: &[u8], context: &AppendContext) -> Result<AppendOutcome, AppendError> {
        let config = self.config();
        let batches = validate::validate(records, &config, context)?;
        let size_bytes = validate::size_bytes(&batches);
        self.with_writer(|writer| self.append_valid(writer, &batches, size_bytes, &config, context))?
    }

    fn append_valid(
        &self,
        writer: &mut LogWriter,
        batches: &[ValidBatch<'_>],
        size_bytes: usize,
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<AppendOutcome, AppendError> {
        for ValidBatch { batch, .. } in batches {
            if let Verdict::Duplicate(original) = self.check(writer, batch.header(), context)? {
                return Ok(self.outcome_of(original, writer, config));
            }
        }
        self.append_checked(writer, batches, size_bytes, config, context)
    }

    fn check(
        &self,
        writer: &mut LogWriter,
        batch: &BatchHeader,
        context: &AppendContext,
    ) -> Result<Verdict, SequenceError> {
        let check = |writer: &LogWriter| {
            let LogWriter { producers, verifications, .. } = writer;
            producers.check(batch, context.origin, verifications, context.verification)
        };
        match check(writer) {
            // It may be an earlier batch once more, of a transaction that has ended meanwhile.
            Err(SequenceError::OutOfOrderSequence { .. } | SequenceError::NoOpenTransaction { .. })
                if self.recall(writer, batch.producer_id) =>
            {
                check(writer)
            }
            verdict => verdict,
        }
    }

    pub(super) fn append_checked(
        &self,
        writer: &mut LogWriter,
        batches: &[ValidBatch<'_>],
        size_bytes: usize,
        config: &LogConfig,
        context: &AppendContext,
    ) -> Result<AppendOutcome, AppendError> {
        let base_offset = writer.end_offset();
        let incoming = incoming(batches, base_offset, size_bytes);
        let rolled = self.make_room(writer, incoming, config, context.now_ms)?;
        self.begin_epoch(context.leader_epoch, base_offset)?;
        let mut next_offset = base_offset;
        disk::step("copy", self.dir());
        for valid in batches {
            next_offset = put(writer, valid, next_offset, config, context);
        }
        if batches.iter().any(|valid| valid.header.is_transactional()) {
            self.first_undecided.publish(writer.producers.first_undecided_offset());
        }
        disk::step("publish", self.dir());
        writer.active.publish(next_offset);
        Ok(AppendOutcome {
            base_offset,
            last_offset: next_offset - 1,
            log_append_time_ms: log_append_time(config, context.now_ms),
            log_start_offset: self.start_offset(),
            last_stable_offset: writer.last_stable_offset(),
            duplicate: false,
            rolled,
            flush: self.flush_due(next_offset, config),
        })
    }

    fn outcome_of(&self, original: CachedBatch, writer: &LogWriter, config: &LogConfig) -> AppendOutcome {
        AppendOutcome {
            base_offset: original.base_offset(),
            last_offset: original.last_offset,
            log_append_time_ms: log_append_time(config, original.timestamp),
            log_start_offset: self.start_offset(),
            last_stable_offset: writer.last_stable_offset(),
            duplicate: true,
            rolled: false,
            flush: self.flush_due(original.last_offset + 1, config),
        }
    }

    fn flush_due(&self, end_offset: i64, config: &LogConfig) -> FlushDue {
        match end_offset - self.synced_offset() {
            ..=0 => FlushDue::Whenever,
            unsynced if unsynced >= config.flush_messages => FlushDue::BeforeAcknowledgement,
            _ if config.flush_ms < i64::MAX => FlushDue::After { ms: config.flush_ms },
            _ => FlushDue::Whenever,
        }
    }

    /// Whether a segment was ended for it. Afterwards nothing can fail any more.
    fn make_room(
        &self,
        writer: &mut LogWriter,
        incoming: Incoming,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<bool, AppendError> {
        let rolls = writer.active.must_roll(incoming, config, now_ms);
        if rolls {
            self.roll(writer, now_ms).map_err(|source| self.append_error(source))?;
        }
        writer.active.reserve(incoming.size_bytes, config).map_err(|source| self.append_error(source))?;
        Ok(rolls)
    }

    /// For whoever holds the append lock: ends the active segment and begins the next.
    pub(super) fn roll(&self, writer: &mut LogWriter, now_ms: i64) -> io::Result<()> {
        // As it is now: whoever promises more in a new one syncs what was rolled before.
        let rolled = writer.roll(now_ms, self.config().durability()).map(Arc::clone);
        self.publish_synced(writer.synced_offset());
        self.segments.write().list.push(rolled?);
        Ok(())
    }

    fn begin_epoch(&self, leader_epoch: i32, base_offset: i64) -> Result<(), AppendError> {
        if self.leader_epochs.read().latest() == Some(leader_epoch) {
            return Ok(());
        }
        let mut begun = self.leader_epochs.read().clone();
        if begun.assign(leader_epoch, base_offset) {
            let path = self.dir().join(leader_epochs::FILE_NAME);
            begun.store(&path, self.config().durability()).map_err(|source| self.append_error(source))?;
            *self.leader_epochs.write() = begun;
        }
        Ok(())
    }

    pub(super) fn append_error(&self, source: io::Error) -> AppendError {
        let dir = self.dir().to_owned();
        if is_disk_full(&source) { AppendError::DiskFull { dir } } else { AppendError::Io { dir, source } }
    }
}

fn incoming(batches: &[ValidBatch<'_>], base_offset: i64, size_bytes: usize) -> Incoming {
    let offsets = batches.iter().map(|valid| i64::from(valid.header.last_offset_delta) + 1);
    let timestamps = batches.iter().map(|valid| valid.header.max_timestamp);
    Incoming {
        size_bytes,
        last_offset: base_offset + offsets.sum::<i64>() - 1,
        max_timestamp: timestamps.max().unwrap_or_default(),
    }
}

/// Copies one batch into the map, with the offset and epoch that it has from here on. Returns the offset behind it.
fn put(
    writer: &mut LogWriter,
    valid: &ValidBatch<'_>,
    base_offset: i64,
    config: &LogConfig,
    context: &AppendContext,
) -> i64 {
    let ValidBatch { batch, header, mut header_bytes } = *valid;
    batch::set_base_offset(&mut header_bytes, base_offset);
    batch::set_leader_epoch(&mut header_bytes, context.leader_epoch);
    let header = BatchHeader { base_offset, leader_epoch: context.leader_epoch, ..header };
    writer.active.append(&header, &header_bytes, batch.body(), config.index_interval_bytes);
    if let Some(aborted) = writer.producers.apply(&header, &batch) {
        writer.active.segment().push_aborted(aborted);
    }
    if header.is_transactional() {
        // From here on the log itself knows whether the transaction is open.
        writer.verifications.end(header.producer_id);
    }
    header.next_offset()
}

fn log_append_time(config: &LogConfig, timestamp_ms: i64) -> Option<i64> {
    (config.message_timestamp_type == TimestampType::LogAppendTime).then_some(timestamp_ms)
}

impl From<WakeError> for AppendError {
    fn from(error: WakeError) -> AppendError {
        match error {
            WakeError::Stopped(stopped) => AppendError::Stopped(stopped),
            WakeError::Io { dir, source } => AppendError::Io { dir, source },
        }
    }
}
