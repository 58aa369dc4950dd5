//! Where the rows of a micro-batch go.
//!
//! [`open`] makes a sink of a format's name and its options; [`FORMATS`] is the list of them.

mod batch;
mod console;
pub mod database;
mod error;
pub mod file;
mod foreach_batch;
mod formats;
mod json_lines;
pub mod kafka;
mod memory;
mod noop;
mod spark_layout;
pub mod table;
#[cfg(test)]
mod test_batches;
mod webhook;

use async_trait::async_trait;

use crate::output_mode::OutputMode;

pub use batch::SinkBatch;
pub use console::ConsoleSink;
pub use error::SinkError;
pub use foreach_batch::{ForeachBatch, ForeachBatchError, ForeachBatchFailure, ForeachBatchSink};
pub use formats::{FORMATS, Format, SinkContext, open};
pub use json_lines::JsonLinesSink;
pub use memory::{MemorySink, MemorySinkError, MemoryTable};
pub use noop::NoopSink;
pub use webhook::{WebhookError, WebhookSink};

/// Takes the batches of one query, in the order of their ids.
#[async_trait]
pub trait Sink: Send {
    /// As it stands in the progress.
    fn description(&self) -> String;

    /// Whether the sink takes the rows of this output mode; an error says so in Spark's words.
    fn supports(&self, mode: OutputMode) -> Result<(), SinkError>;

    /// Takes all rows of a batch and returns how many it has written.
    ///
    /// All partitions are drained, even where the sink has the batch already: what the query remembers is computed on
    /// the way.
    ///
    /// A batch may come twice, with the same id and the same rows, if the run before was stopped between its rows and
    /// its commit. After an error nothing more is written through this sink.
    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError>;
}
