//! Where the rows of a micro-batch go.

mod console;
mod json_lines;
pub mod table;

use async_trait::async_trait;
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use thiserror::Error;

use crate::batch_run::innermost;

pub use console::ConsoleSink;
pub use json_lines::JsonLinesSink;

/// A batch may come twice, if the run before was stopped between its rows and its commit.
#[async_trait]
pub trait Sink: Send {
    /// As it stands in the progress.
    fn description(&self) -> String;

    /// Takes all rows of a batch, with their columns under `names`, and returns how many there were.
    async fn write_batch(
        &mut self,
        batch_id: u64,
        names: &[String],
        rows: SendableRecordBatchStream,
    ) -> Result<u64, SinkError>;
}

#[derive(Debug, Error)]
pub enum SinkError {
    /// The rows could not be computed; not the sink's fault.
    #[error("{}", innermost(.0))]
    Rows(#[from] DataFusionError),
    #[error("a value cannot be written: {0}")]
    Value(#[from] ArrowError),
    #[error("cannot write the rows: {0}")]
    Io(#[from] std::io::Error),
}
