//! What the coordinator needs of the place where its records are kept.

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::{BatchError, BuildError};
use ottla_storage::AppendError;

use super::record::CoordinatorRecord;
use crate::topics::CreateTopicError;

/// Keeps records for the next start. What is appended has survived the process when this returns.
pub(crate) trait OffsetsLog: Send + Sync {
    /// Appends records, those of one group all or none.
    fn append(&self, records: &[CoordinatorRecord], now_ms: i64) -> Result<(), AppendGroupsError>;

    /// Gives every record ever appended to `load`; those of one group in the order in which they were appended.
    fn replay(&self, load: &mut dyn FnMut(CoordinatorRecord)) -> Result<(), LoadGroupsError>;
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
    /// What the client is told: that its request is too large, or to look for a coordinator again.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            AppendGroupsError::Create(_) => ErrorCode::CoordinatorNotAvailable,
            AppendGroupsError::Build { .. }
            | AppendGroupsError::Append {
                source: AppendError::MessageTooLarge { .. } | AppendError::RecordListTooLarge { .. },
                ..
            } => ErrorCode::UnknownServerError,
            AppendGroupsError::Append { .. } => ErrorCode::NotCoordinator,
        }
    }
}

/// Why the groups and offsets of earlier runs cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadGroupsError {
    #[error("__consumer_offsets-{partition} cannot be read at offset {offset}: {error:?}")]
    Read { partition: i32, offset: i64, error: ErrorCode },
    #[error("__consumer_offsets-{partition} has a broken batch: {source}")]
    Batch { partition: i32, source: BatchError },
}
