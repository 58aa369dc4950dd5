//! What can go wrong between a batch's rows and its sink.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use thiserror::Error;

use super::database::DatabaseError;
use super::file::FileSinkError;
use super::foreach_batch::ForeachBatchError;
use super::formats::names;
use super::kafka::KafkaSinkError;
use super::memory::MemorySinkError;
use super::webhook::WebhookError;
use crate::batch_run::innermost;
use crate::options::OptionsError;
use crate::output_mode::OutputMode;

#[derive(Debug, Error)]
pub enum SinkError {
    /// The rows could not be computed; not the sink's fault.
    #[error("{}", innermost(.0))]
    Rows(#[from] DataFusionError),
    #[error("a value cannot be written: {0}")]
    Value(#[from] ArrowError),
    #[error("cannot write the rows: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Option(#[from] OptionsError),
    /// Spark's DATA_SOURCE_NOT_FOUND.
    #[error(
        "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: {format}. Make sure the provider name is correct and \
         the package is properly registered and compatible with your Spark version. SQLSTATE: 42K02. Ottla's sinks \
         are {known}",
        known = names()
    )]
    UnknownFormat { format: String },
    /// Spark's STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE.
    #[error(
        "[STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE] Invalid streaming output mode: {mode}. This output mode is not \
         supported in Data Source {format}. SQLSTATE: 42KDE"
    )]
    OutputMode { format: &'static str, mode: OutputMode },
    #[error(transparent)]
    File(#[from] FileSinkError),
    #[error(transparent)]
    Kafka(Box<KafkaSinkError>),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Memory(#[from] MemorySinkError),
    #[error(transparent)]
    ForeachBatch(#[from] ForeachBatchError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

impl From<KafkaSinkError> for SinkError {
    fn from(error: KafkaSinkError) -> SinkError {
        SinkError::Kafka(Box::new(error))
    }
}
