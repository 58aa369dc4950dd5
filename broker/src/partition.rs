//! A partition as handlers see it: its log, and the fetches that wait on it.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchError;
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, AppendOutcome, FlushDue, FlushError, Isolation, Log,
    LogStopped, MarkerError, ReadError, ReadOutcome, RecordRefused, RetentionError, SequenceError,
    StartOffsetError, TransactionMarker, VerificationGuard,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::cleaner::Cleaner;
use crate::fetch_wait::{SeenBy, Waiters};
use crate::flush_schedule::FlushSchedule;

/// Of a control batch with one marker.
const MARKER_BYTES: usize = 78;

/// How soon a segment is on the disk that is not appended to any more.
const ROLLED_FLUSH_MS: i64 = 1_000;

/// One partition of a topic.
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) log: Arc<Log>,
    pub(crate) waiters: Waiters,
    /// The one leader keeps its epoch for as long as the topic lives.
    pub(crate) leader_epoch: i32,
    flush_schedule: Arc<FlushSchedule>,
    cleaner: Arc<Cleaner>,
    /// Held by the one acknowledgement that waits for the disk; it often takes the others along.
    syncing: AsyncMutex<()>,
}

impl Partition {
    pub(crate) fn new(
        index: i32,
        leader_epoch: i32,
        log: Log,
        flush_schedule: Arc<FlushSchedule>,
        cleaner: Arc<Cleaner>,
    ) -> Partition {
        Partition {
            index,
            log: Arc::new(log),
            waiters: Waiters::default(),
            leader_epoch,
            flush_schedule,
            cleaner,
            syncing: AsyncMutex::default(),
        }
    }

    /// Appends, then wakes the fetches that waited for it. A coordinator's records are on the disk when this returns,
    /// if they have to be; for a client's, [`Partition::synced`] waits.
    pub(crate) fn append(
        &self,
        records: &[u8],
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<AppendOutcome, AppendError> {
        self.append_verified(records, origin, None, now_ms)
    }

    /// Appends a batch that may begin a transaction here, which its coordinator knows to be open (KIP-890).
    pub(crate) fn append_verified(
        &self,
        records: &[u8],
        origin: AppendOrigin,
        verification: Option<VerificationGuard>,
        now_ms: i64,
    ) -> Result<AppendOutcome, AppendError> {
        let context = AppendContext { leader_epoch: self.leader_epoch, now_ms, origin, verification };
        let outcome = self.log.append(records, &context)?;
        self.see_to_disk(outcome.flush, origin)?;
        if !outcome.duplicate {
            self.waiters.appended(records.len(), seen_by(&outcome));
        }
        self.see_to_rolled(&outcome);
        Ok(outcome)
    }

    /// Waits until everything below `end_offset` is on the disk.
    pub(crate) async fn synced(&self, end_offset: i64) -> Result<(), ErrorCode> {
        let _turn = self.syncing.lock().await;
        if self.log.synced_offset() >= end_offset {
            // It may have been a roll that saw to it.
            self.waiters.synced();
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        let synced = tokio::task::spawn_blocking(move || log.sync()).await;
        let failed = match synced {
            Ok(Ok(())) if self.log.synced_offset() >= end_offset => {
                self.waiters.synced();
                return Ok(());
            }
            Ok(Ok(())) => return Err(ErrorCode::NotLeaderOrFollower),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!("{failed}");
        Err(ErrorCode::KafkaStorageError)
    }

    /// Ends a transaction, then wakes the fetches that waited for it.
    pub(crate) fn append_marker(
        &self,
        marker: &TransactionMarker,
        now_ms: i64,
    ) -> Result<AppendOutcome, MarkerError> {
        let origin = AppendOrigin::Coordinator;
        let context = AppendContext { leader_epoch: self.leader_epoch, now_ms, origin, verification: None };
        let outcome = self.log.append_marker(marker, &context)?;
        self.see_to_disk(outcome.flush, origin)?;
        self.waiters.appended(MARKER_BYTES, SeenBy::ReadUncommitted);
        self.waiters.decided();
        self.see_to_rolled(&outcome);
        Ok(outcome)
    }

    /// What is not appended to any more is brought to the disk, as Kafka does it, and can be compacted.
    fn see_to_rolled(&self, outcome: &AppendOutcome) {
        if !outcome.rolled {
            return;
        }
        self.flush_schedule.flush_within(&self.log, ROLLED_FLUSH_MS);
        if self.log.config().compacted {
            self.cleaner.wake();
        }
    }

    fn see_to_disk(&self, due: FlushDue, origin: AppendOrigin) -> Result<(), AppendError> {
        match due {
            FlushDue::After { ms } => self.flush_schedule.flush_within(&self.log, ms),
            // What a coordinator writes next relies on it.
            FlushDue::BeforeAcknowledgement if origin == AppendOrigin::Coordinator => {
                self.log.sync().map_err(|FlushError { dir, source }| AppendError::Io { dir, source })?;
                self.waiters.synced();
            }
            FlushDue::BeforeAcknowledgement | FlushDue::Whenever => {}
        }
        Ok(())
    }

    /// Whole batches from the one that holds `offset` on, at most `max_bytes` of them. `at_least_one` lets the first
    /// one be larger. Nothing at the end of what `isolation` lets see.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ErrorCode> {
        self.log.read(offset, max_bytes, at_least_one, isolation).map_err(|error| read_error_code(&error))
    }

    pub(crate) fn start_offset(&self) -> i64 {
        self.log.start_offset()
    }

    /// The end of what may be read; what waits for the disk is not.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.log.high_watermark()
    }

    /// The end of what `isolation` lets see.
    pub(crate) fn end_offset_for(&self, isolation: Isolation) -> Result<i64, ErrorCode> {
        self.log.end_offset_for(isolation).map_err(|error| read_error_code(&error))
    }

    /// Hides the records below `offset`, and wakes the fetches that waited for them.
    pub(crate) fn advance_start_offset(&self, offset: i64) -> Result<(), StartOffsetError> {
        if self.log.advance_start_offset(offset)? {
            self.waiters.wake_all();
        }
        Ok(())
    }

    /// Drops the segments whose retention is over.
    pub(crate) fn delete_old_segments(&self, now_ms: i64) -> Result<usize, RetentionError> {
        let count = self.log.delete_old_segments(now_ms)?;
        if count > 0 {
            self.waiters.wake_all();
        }
        Ok(count)
    }

    /// Ends the log, and tells the fetches that wait for it.
    pub(crate) fn delete(&self) {
        if let Err(error) = self.log.delete() {
            tracing::warn!("{error}; its files go with the next start");
        }
        self.waiters.wake_all();
    }

    /// Compares the leader epoch that a client knows (KIP-320); −1 is a client that knows none.
    pub(crate) fn check_leader_epoch(&self, known_epoch: i32) -> Result<(), ErrorCode> {
        compare_leader_epochs(known_epoch, self.leader_epoch)
    }
}

fn compare_leader_epochs(known_epoch: i32, leader_epoch: i32) -> Result<(), ErrorCode> {
    match known_epoch {
        ..0 => Ok(()),
        known if known < leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
        known if known > leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// What a request's `isolation_level` says; 1 is `read_committed`.
pub(crate) fn isolation_of(level: i8) -> Isolation {
    if level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

fn seen_by(appended: &AppendOutcome) -> SeenBy {
    if appended.flush == FlushDue::BeforeAcknowledgement {
        SeenBy::Nobody
    } else if appended.last_stable_offset > appended.last_offset {
        SeenBy::Everybody
    } else {
        SeenBy::ReadUncommitted
    }
}

/// What Kafka answers to a refused append. Never UNKNOWN_SERVER_ERROR: Java producers then write twice (KAFKA-14034).
pub(crate) fn append_error_code(error: &AppendError) -> ErrorCode {
    match error {
        // What is cut short is no batch to Kafka, and a request without a batch is an invalid record.
        AppendError::Batch(BatchError::LengthTooSmall { .. } | BatchError::CrcMismatch { .. }) => {
            ErrorCode::CorruptMessage
        }
        AppendError::Batch(BatchError::UnsupportedMagic { magic }) if *magic > 2 => ErrorCode::CorruptMessage,
        AppendError::InvalidRecord(RecordRefused::NoProducerId) => {
            ErrorCode::TransactionalIdAuthorizationFailed
        }
        AppendError::Batch(_) | AppendError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        AppendError::Sequence(error) => sequence_error_code(error),
        AppendError::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::DiskFull { .. } | AppendError::Io { .. } => ErrorCode::KafkaStorageError,
        AppendError::Stopped(stopped) => stopped_code(*stopped),
    }
}

/// What Kafka answers to a refused transaction marker.
pub(crate) fn marker_error_code(error: &MarkerError) -> ErrorCode {
    match error {
        MarkerError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        MarkerError::Producer(error) => sequence_error_code(error),
        MarkerError::Append(error) => append_error_code(error),
        MarkerError::Build(_) => ErrorCode::InvalidRecord,
    }
}

fn sequence_error_code(error: &SequenceError) -> ErrorCode {
    match error {
        SequenceError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        SequenceError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        SequenceError::NoOpenTransaction { .. } | SequenceError::OutsideTransaction { .. } => {
            ErrorCode::InvalidTxnState
        }
    }
}

/// What Kafka answers to a read that fails.
pub(crate) fn read_error_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Stopped(stopped) => stopped_code(*stopped),
        ReadError::Segment(error) => {
            tracing::error!("{error}");
            ErrorCode::KafkaStorageError
        }
    }
}

/// What Kafka answers when a log's start cannot be moved.
pub(crate) fn start_offset_error_code(error: &StartOffsetError) -> ErrorCode {
    match error {
        StartOffsetError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        StartOffsetError::Io { .. } => ErrorCode::KafkaStorageError,
        StartOffsetError::Stopped(stopped) => stopped_code(*stopped),
    }
}

/// The log went while the request was on its way. Of a broker that stops, clients look for the next leader.
fn stopped_code(stopped: LogStopped) -> ErrorCode {
    match stopped {
        LogStopped::Closed => ErrorCode::NotLeaderOrFollower,
        LogStopped::Deleted => ErrorCode::UnknownTopicOrPartition,
        LogStopped::DiskFailed => ErrorCode::KafkaStorageError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_leader_epoch_is_fenced_and_a_later_one_unknown() {
        assert_eq!(compare_leader_epochs(4, 5), Err(ErrorCode::FencedLeaderEpoch));
        assert_eq!(compare_leader_epochs(6, 5), Err(ErrorCode::UnknownLeaderEpoch));
        assert_eq!((compare_leader_epochs(5, 5), compare_leader_epochs(-1, 5)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_disk_that_is_full_or_broken_is_a_storage_error() {
        let full = AppendError::DiskFull { dir: "data/t-0".into() };
        let broken = AppendError::Io { dir: "data/t-0".into(), source: std::io::ErrorKind::Other.into() };
        for error in [full, broken] {
            assert_eq!(append_error_code(&error), ErrorCode::KafkaStorageError, "{error}");
        }
    }
}
