//! A partition as handlers see it: its log, and the fetches that wait on it.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchError;
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, AppendOutcome, FlushDue, FlushError, Log, LogStopped,
    ReadError, ReadOutcome, RecordRefused, SequenceError,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::fetch_wait::Waiters;
use crate::flush_schedule::FlushSchedule;

/// One partition of a topic.
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) log: Arc<Log>,
    pub(crate) waiters: Waiters,
    /// The one leader keeps its epoch for as long as the topic lives.
    pub(crate) leader_epoch: i32,
    flush_schedule: Arc<FlushSchedule>,
    /// Held by the one acknowledgement that waits for the disk; it often takes the others along.
    syncing: AsyncMutex<()>,
}

impl Partition {
    pub(crate) fn new(
        index: i32,
        leader_epoch: i32,
        log: Log,
        flush_schedule: Arc<FlushSchedule>,
    ) -> Partition {
        Partition {
            index,
            log: Arc::new(log),
            waiters: Waiters::default(),
            leader_epoch,
            flush_schedule,
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
        let context = AppendContext { leader_epoch: self.leader_epoch, now_ms, origin };
        let outcome = self.log.append(records, &context)?;
        if !outcome.duplicate {
            self.waiters.appended(records.len());
        }
        match outcome.flush {
            FlushDue::After { ms } => self.flush_schedule.flush_within(&self.log, ms),
            // What a coordinator writes next relies on it.
            FlushDue::BeforeAcknowledgement if origin == AppendOrigin::Coordinator => {
                self.log.sync().map_err(|FlushError { dir, source }| AppendError::Io { dir, source })?;
            }
            FlushDue::BeforeAcknowledgement | FlushDue::Whenever => {}
        }
        Ok(outcome)
    }

    /// Waits until everything below `end_offset` is on the disk.
    pub(crate) async fn synced(&self, end_offset: i64) -> Result<(), ErrorCode> {
        let _turn = self.syncing.lock().await;
        if self.log.synced_offset() >= end_offset {
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        let synced = tokio::task::spawn_blocking(move || log.sync()).await;
        let failed = match synced {
            Ok(Ok(())) if self.log.synced_offset() >= end_offset => return Ok(()),
            Ok(Ok(())) => return Err(ErrorCode::NotLeaderOrFollower),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!("{failed}");
        Err(ErrorCode::KafkaStorageError)
    }

    /// Whole batches from the one that holds `offset` on, at most `max_bytes` of them. `at_least_one` lets the first
    /// one be larger. Nothing at the end of the log.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadOutcome, ErrorCode> {
        self.log.read(offset, max_bytes, at_least_one).map_err(|error| read_error_code(&error))
    }

    pub(crate) fn start_offset(&self) -> i64 {
        self.log.start_offset()
    }

    /// The log end: with one replica the high watermark, and without transactions the last stable offset too.
    pub(crate) fn end_offset(&self) -> i64 {
        self.log.end_offset()
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
        match known_epoch {
            ..0 => Ok(()),
            known if known < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            known if known > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
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
        AppendError::InvalidRecord(RecordRefused::Transactional) => {
            ErrorCode::TransactionalIdAuthorizationFailed
        }
        AppendError::Batch(_) | AppendError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        AppendError::Sequence(SequenceError::OutOfOrderSequence { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::Sequence(SequenceError::InvalidProducerEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::DiskFull { .. } | AppendError::Io { .. } => ErrorCode::KafkaStorageError,
        AppendError::Stopped(stopped) => stopped_code(*stopped),
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
    fn a_disk_that_is_full_or_broken_is_a_storage_error() {
        let full = AppendError::DiskFull { dir: "data/t-0".into() };
        let broken = AppendError::Io { dir: "data/t-0".into(), source: std::io::ErrorKind::Other.into() };
        for error in [full, broken] {
            assert_eq!(append_error_code(&error), ErrorCode::KafkaStorageError, "{error}");
        }
    }
}
