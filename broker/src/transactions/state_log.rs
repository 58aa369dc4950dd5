//! What the coordinator needs of the place where its records are kept.

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BuildError;
use ottla_protocol::messages::TransactionalId;
use ottla_storage::AppendError;

use super::transaction::Transaction;
use crate::internal_topic::LoadError;
use crate::topics::CreateTopicError;

/// Keeps, for the next start, where each transactional id stands.
pub(crate) trait StateLog: Send + Sync {
    /// Appends the state of one id; nothing removes it. It has survived the process when this returns.
    fn append(
        &self,
        id: &TransactionalId,
        transaction: Option<&Transaction>,
        now_ms: i64,
    ) -> Result<(), AppendStateError>;

    /// Which incarnation of the id's coordinator this is: of two that write markers, the lower one is refused.
    fn coordinator_epoch(&self, id: &TransactionalId) -> i32;

    /// Gives every record ever appended to `load`; those of one id in the order in which they were appended.
    fn replay(&self, load: &mut dyn FnMut(TransactionalId, Option<Transaction>)) -> Result<(), LoadError>;
}

/// Why a state was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendStateError {
    #[error("__transaction_state cannot be created: {0}")]
    Create(#[from] CreateTopicError),
    #[error("the state of transactional id {id} does not fit in a batch: {source}")]
    Build { id: String, source: BuildError },
    #[error("__transaction_state-{partition} took no record: {source}")]
    Append { partition: i32, source: AppendError },
}

impl AppendStateError {
    /// What the client is told: that its transaction is too large, or to look for a coordinator again.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            AppendStateError::Create(_) => ErrorCode::CoordinatorNotAvailable,
            AppendStateError::Build { .. }
            | AppendStateError::Append {
                source: AppendError::MessageTooLarge { .. } | AppendError::RecordListTooLarge { .. },
                ..
            } => ErrorCode::UnknownServerError,
            AppendStateError::Append { .. } => ErrorCode::NotCoordinator,
        }
    }
}
