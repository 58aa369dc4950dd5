//! What a query reads: sources with offsets that a batch can name and find again. Spark's `MicroBatchStream`.
//!
//! A [`SourceDefinition`] is what the query's text says of a stream; opened, it is a [`Source`], which a running query
//! owns. A batch reads the rows behind one offset up to another; asked again, the same rows come.

mod connections;
mod error;
mod file;
mod formats;
mod generated;
mod long_offset;
mod memory;
mod rate;
mod rate_micro_batch;
mod rows_in_memory;
mod scan;
mod socket;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::error::Result as EngineResult;
use datafusion::physical_plan::ExecutionPlan;

pub use connections::Connections;
pub use error::SourceError;
pub use file::FileSourceError;
pub(crate) use formats::{Declared, stream, table as static_table};
pub use formats::{FORMATS, SourceFormat, define};
pub use memory::{MemoryStream, MemoryStreamError};
pub(crate) use scan::{StreamScanExec, reads_stream};
pub use socket::SocketError;
pub use table::StreamTable;
pub(crate) use table::is_streaming;

/// A place in a source, as the JSON that stands in the checkpoint's `offsets/N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset(pub String);

/// A stream as the query's text declares it.
#[async_trait]
pub trait SourceDefinition: Send + Sync + fmt::Debug {
    fn schema(&self) -> SchemaRef;

    /// For `explain`, before the source is open.
    fn description(&self) -> String {
        format!("{self:?}")
    }

    async fn open(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError>;
}

/// What a source may need to know of its query, beside its options.
#[derive(Clone, Debug)]
pub struct SourceContext {
    /// The source's own in the checkpoint, `sources/<i>`; it may not exist yet.
    pub folder: PathBuf,
    /// Of the checkpoint: the same in every run of the query.
    pub query_id: String,
    pub connections: Arc<Connections>,
}

#[cfg(test)]
impl SourceContext {
    fn for_tests(folder: &std::path::Path) -> SourceContext {
        let connections = Arc::new(Connections::new(|_| {}));
        SourceContext { folder: folder.to_owned(), query_id: "test".to_owned(), connections }
    }
}

/// One stream of a running query.
#[async_trait]
pub trait Source: Send {
    /// As Spark describes the source in its progress.
    fn description(&self) -> String;

    /// Reads an offset of the checkpoint, in this source's own spelling.
    fn offset(&self, json: &str) -> Result<Offset, SourceError>;

    /// Where a query without a checkpoint begins, the same at each call. `None`: before anything that the source has.
    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError>;

    /// From now on the source has no more than it has now: `availableNow`.
    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError>;

    /// How far the source reaches, and how far the batch that begins at `from` reads.
    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError>;

    /// The rows behind `from` up to `to`.
    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError>;

    /// All batches up to `end` are in the sink and in `commits/N`: what lies before is not asked for again. Told right
    /// after each batch, and once more when a query goes on.
    async fn commit(&mut self, _end: &Offset) -> Result<(), SourceError> {
        Ok(())
    }

    /// The query ends.
    async fn close(&mut self) {}

    /// Returns as soon as there may be rows behind `from`, at the latest after `max_wait`.
    async fn wait_for_data(&mut self, from: Option<&Offset>, max_wait: Duration) -> Result<(), SourceError>;

    /// Spark's per-source metrics of a batch that ended at `end`.
    fn metrics(&self, _end: &Offset, _latest: Option<&Offset>) -> BTreeMap<&'static str, String> {
        BTreeMap::new()
    }
}

/// Whether the source's own limits, such as `maxOffsetsPerTrigger`, hold: not for the trigger `once`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLimit {
    OwnOptions,
    AllAvailable,
}

/// Both `None` while the source has nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatestOffset {
    /// Up to here the next batch reads; equal to where it begins if there is nothing for it.
    pub end: Option<Offset>,
    /// Up to here there is data: `latestOffset` in the progress.
    pub available: Option<Offset>,
}

/// The rows of one batch.
#[async_trait]
pub trait BatchRead: Send + Sync + fmt::Debug {
    /// A plan for the columns at these places of the schema, in their order. `None` if there is no row.
    async fn scan(
        &self,
        session: &dyn Session,
        projection: &[usize],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>>;
}
