//! What can go wrong with a source.

use ottla_client::{ConnectError, RequestError};
use thiserror::Error;

use super::file::FileSourceError;
use super::formats::names;
use super::memory::MemoryStreamError;
use super::socket::SocketError;
use crate::checkpoint::log_file::LogFileError;
use crate::kafka::offsets::OffsetsJsonError;
use crate::kafka::options::OptionError;
use crate::kafka::source::KafkaSourceError;
use crate::options::OptionsError;

#[derive(Debug, Error)]
pub enum SourceError {
    /// Spark's DATA_SOURCE_NOT_FOUND.
    #[error(
        "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: {format}. Make sure the provider name is correct and \
         the package is properly registered and compatible with your Spark version. SQLSTATE: 42K02. Ottla's sources \
         are {known}",
        known = names()
    )]
    UnknownFormat { format: String },
    #[error("a table of the format {format} has no end, and is read as a stream alone: FROM STREAM …")]
    OnlyStream { format: &'static str },
    /// Spark's words.
    #[error("{provider} source does not support user-specified schema.")]
    FixedSchema { provider: &'static str },
    #[error("Kafka source has a fixed schema and cannot be set with a custom one")]
    KafkaSchema,
    /// Spark's words; `rule` is such as `be positive`.
    #[error("Invalid value '{value}'. The option '{key}' must {rule}")]
    OptionValue { key: &'static str, value: String, rule: &'static str },
    #[error(transparent)]
    Option(#[from] OptionsError),
    #[error(transparent)]
    KafkaOption(#[from] OptionError),
    #[error(transparent)]
    Kafka(#[from] KafkaSourceError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the offsets in the checkpoint cannot be read: {0}")]
    Offsets(#[from] OffsetsJsonError),
    /// Of a source with offsets other than Kafka's.
    #[error(
        "the offset `{json}` in the checkpoint is none of {description}; has the query another source now?"
    )]
    Offset { json: String, description: String },
    #[error(transparent)]
    File(#[from] LogFileError),
    #[error(transparent)]
    Files(#[from] FileSourceError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Memory(#[from] MemoryStreamError),
    #[error("seconds {seconds} are more than rowsPerSecond {rows_per_second} can count")]
    RateOverflow { seconds: i64, rows_per_second: i64 },
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
