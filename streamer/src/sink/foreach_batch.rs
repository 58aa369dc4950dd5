//! `foreachBatch`: each batch is handed to a function of the program that runs the query.
//!
//! ```
//! use ottla_stream::sink::ForeachBatchSink;
//!
//! let sink = ForeachBatchSink::new(async |batch| {
//!     let rows = batch.data_frame()?.count().await?;
//!     println!("batch {} has {rows} rows", batch.id);
//!     Ok(())
//! });
//! ```
//!
//! A batch may come twice, with the same id and rows; whoever must not see it twice keeps the id with what it writes. The
//! batch's rows are in memory all at once.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::MemTable;
use datafusion::error::Result as EngineResult;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use thiserror::Error;

use super::{Sink, SinkBatch, SinkError};
use crate::output_mode::OutputMode;

/// What a function may fail with.
pub type ForeachBatchFailure = Box<dyn std::error::Error + Send + Sync>;

/// The rows of one batch.
#[derive(Clone, Debug)]
pub struct ForeachBatch {
    pub id: u64,
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

/// The function's error, as Spark tells of it.
#[derive(Debug, Error)]
#[error(
    "[FOREACH_BATCH_USER_FUNCTION_ERROR] An error occurred in the user provided function in foreach batch sink. Reason: {0}"
)]
pub struct ForeachBatchError(#[source] ForeachBatchFailure);

type Function = dyn FnMut(ForeachBatch) -> BoxFuture<'static, Result<(), ForeachBatchFailure>> + Send;

pub struct ForeachBatchSink {
    function: Box<Function>,
}

impl ForeachBatch {
    /// The rows as a frame of a session of their own.
    pub fn data_frame(&self) -> EngineResult<DataFrame> {
        let table = MemTable::try_new(self.schema.clone(), vec![self.batches.clone()])?;
        SessionContext::new().read_table(Arc::new(table))
    }
}

impl ForeachBatchSink {
    pub fn new<F, R>(mut function: F) -> ForeachBatchSink
    where
        F: FnMut(ForeachBatch) -> R + Send + 'static,
        R: Future<Output = Result<(), ForeachBatchFailure>> + Send + 'static,
    {
        ForeachBatchSink { function: Box::new(move |batch| Box::pin(function(batch))) }
    }
}

#[async_trait]
impl Sink for ForeachBatchSink {
    fn description(&self) -> String {
        "ForeachBatchSink".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let (id, schema) = (batch.id, batch.schema.clone());
        let (mut rows, mut batches, mut count) = (batch.in_order(), Vec::new(), 0);
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows() as u64;
            let size = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            batches.push(RecordBatch::try_new_with_options(schema.clone(), columns, &size)?);
        }
        let handed = (self.function)(ForeachBatch { id, schema, batches }).await;
        handed.map_err(ForeachBatchError)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::sink::test_batches::batch;

    #[tokio::test]
    async fn the_function_gets_each_batch_under_the_user_s_names() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = seen.clone();
        let mut sink = ForeachBatchSink::new(move |batch| {
            let seen = shared.clone();
            async move {
                let big = batch
                    .data_frame()?
                    .filter(datafusion::prelude::col("n").gt(datafusion::prelude::lit(1)))?;
                let count = big.count().await?;
                seen.lock().push((batch.id, count));
                if batch.id == 2 { Err("no more".into()) } else { Ok(()) }
            }
        });
        assert_eq!(sink.write_batch(batch(1, &[&[("a", 1), ("b", 2)], &[("c", 3)]])).await.unwrap(), 3);
        let error = sink.write_batch(batch(2, &[&[]])).await.unwrap_err().to_string();
        assert!(error.ends_with("in foreach batch sink. Reason: no more"), "{error}");
        assert_eq!(*seen.lock(), [(1, 2), (2, 0)]);
    }
}
