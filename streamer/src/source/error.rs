//! What can go wrong with a source.

use ottla_client::{ConnectError, RequestError};
use thiserror::Error;

use crate::checkpoint::log_file::LogFileError;
use crate::kafka::offsets::OffsetsJsonError;
use crate::kafka::source::KafkaSourceError;

#[derive(Debug, Error)]
pub enum SourceError {
    #[error(transparent)]
    Kafka(#[from] KafkaSourceError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the offsets in the checkpoint cannot be read: {0}")]
    Offsets(#[from] OffsetsJsonError),
    #[error(transparent)]
    File(#[from] LogFileError),
}

impl From<RequestError> for SourceError {
    fn from(error: RequestError) -> SourceError {
        KafkaSourceError::from(error).into()
    }
}

impl SourceError {
    /// What the source reads, such as a topic, may come later: a query that runs on waits for it.
    pub fn is_not_there_yet(&self) -> bool {
        matches!(self, SourceError::Kafka(KafkaSourceError::UnknownTopic { .. }))
    }
}
