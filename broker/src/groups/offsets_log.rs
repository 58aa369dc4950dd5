//! What the coordinator needs of the place where its records are kept.

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BuildError;
use ottla_storage::{AppendError, MarkerError, SequenceError, TransactionMarker, VerificationGuard};

use super::record::{CoordinatorRecord, Written};
use crate::internal_topic::LoadError;
use crate::topics::CreateTopicError;
use crate::transactions::transaction::{Outcome, Producer};

/// Keeps records for the next start. What is appended has survived the process when this returns.
pub(crate) trait OffsetsLog: Send + Sync {
    /// Appends records, those of one group all or none, and answers where each is. As a part of a transaction all are
    /// of one group.
    fn append(
        &self,
        records: &[CoordinatorRecord],
        transaction: Option<&OpenTransaction>,
        now_ms: i64,
    ) -> Result<Vec<Written>, AppendGroupsError>;

    /// Ends a transaction in one partition of the log; nothing if there is no such partition.
    fn append_marker(
        &self,
        partition: i32,
        marker: &TransactionMarker,
        now_ms: i64,
    ) -> Result<(), MarkerError>;

    /// Gives everything ever appended to `load`; what is about one group in the order in which it was appended.
    fn replay(&self, load: &mut dyn FnMut(LogEvent)) -> Result<(), LoadError>;
}

/// The transaction that records are a part of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenTransaction {
    pub(crate) producer: Producer,
    /// If the transaction is not open in the group's partition yet.
    pub(crate) verification: Option<VerificationGuard>,
}

/// What the log tells at start.
#[derive(Debug, Clone)]
pub(crate) enum LogEvent {
    Record(CoordinatorRecord, Written),
    EndOfTransaction { log_partition: i32, producer_id: i64, outcome: Outcome },
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendGroupsError {
    #[error("__consumer_offsets cannot be created: {0}")]
    Create(#[from] CreateTopicError),
    #[error("records of group {group} do not fit in a batch: {source}")]
    Build { group: String, source: BuildError },
    #[error("__consumer_offsets-{partition} took no records: {source}")]
    Append { partition: i32, source: AppendError },
}

impl AppendGroupsError {
    /// What the client is told: that its request is too large, that its transaction is over, or to look for a
    /// coordinator again.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            AppendGroupsError::Create(_) => ErrorCode::CoordinatorNotAvailable,
            AppendGroupsError::Build { .. } => ErrorCode::UnknownServerError,
            AppendGroupsError::Append { source, .. } => append_code(source),
        }
    }
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::MessageTooLarge { .. } | AppendError::RecordListTooLarge { .. } => {
            ErrorCode::UnknownServerError
        }
        AppendError::Sequence(SequenceError::InvalidProducerEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Sequence(_) => ErrorCode::InvalidTxnState,
        _ => ErrorCode::NotCoordinator,
    }
}
