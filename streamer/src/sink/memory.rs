//! Spark's memory sink: the rows as a table under the query's name, to be queried while the query runs.
//!
//! In append and update mode each batch's rows come behind those before; in complete mode they take their place. Nothing
//! outlives the process, so an append or update query cannot go on from a checkpoint with this sink. All rows are in
//! memory, up to the option `maxBytes` (256 MiB unless told otherwise), beyond which the query fails.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use parking_lot::Mutex;
use thiserror::Error;

use super::{Sink, SinkBatch, SinkContext, SinkError};
use crate::options::Options;
use crate::output_mode::OutputMode;

const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug, Error)]
pub enum MemorySinkError {
    /// Spark's words.
    #[error("queryName must be specified for memory sink.")]
    NoQueryName,
    /// Spark's words.
    #[error(
        "This query does not support recovering from checkpoint location. Delete {checkpoint}/offsets to start over."
    )]
    NotRecoverable { checkpoint: String },
    #[error(
        "the memory sink would hold {bytes} bytes, more than its option maxBytes, which is {max_bytes}: raise that, \
         use output mode complete, or write to a format that is no memory"
    )]
    Full { bytes: u64, max_bytes: u64 },
}

pub struct MemorySink {
    table: Arc<MemoryTable>,
    checkpoint: String,
    max_bytes: u64,
    last_batch: Option<u64>,
}

impl MemorySink {
    /// Makes the table, in place of an earlier one of that name.
    pub fn new(options: &Options, context: &SinkContext) -> Result<MemorySink, SinkError> {
        let name = context.query_name.as_deref().ok_or(MemorySinkError::NoQueryName)?;
        let table = Arc::new(MemoryTable { schema: context.schema.clone(), rows: Mutex::default() });
        let reference = TableReference::bare(name);
        context.session.deregister_table(reference.clone())?;
        context.session.register_table(reference, table.clone())?;
        Ok(MemorySink {
            table,
            checkpoint: context.checkpoint.display().to_string(),
            max_bytes: options.count("maxBytes", 1)?.unwrap_or(MAX_BYTES),
            last_batch: None,
        })
    }

    /// The rows so far, as a table of any session.
    pub fn table(&self) -> Arc<MemoryTable> {
        self.table.clone()
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn description(&self) -> String {
        "MemorySink".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let (id, replaces) = (batch.id, batch.output_mode == OutputMode::Complete);
        if self.last_batch.is_none() && id > 0 && !replaces {
            return Err(MemorySinkError::NotRecoverable { checkpoint: self.checkpoint.clone() }.into());
        }
        if self.last_batch.is_some_and(|last| id <= last) {
            return batch.drain().await;
        }
        let mut bytes = if replaces { 0 } else { self.table.bytes() };
        let (mut rows, mut taken, mut count) = (batch.in_order(), Vec::new(), 0);
        while let Some(batch) = rows.try_next().await? {
            bytes += batch.get_array_memory_size() as u64;
            if bytes > self.max_bytes {
                return Err(MemorySinkError::Full { bytes, max_bytes: self.max_bytes }.into());
            }
            count += batch.num_rows() as u64;
            let size = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            taken.push(RecordBatch::try_new_with_options(self.table.schema.clone(), columns, &size)?);
        }
        self.table.take(taken, replaces);
        self.last_batch = Some(id);
        Ok(count)
    }
}

/// What the memory sink has taken so far. A query sees whole batches.
pub struct MemoryTable {
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

impl MemoryTable {
    fn bytes(&self) -> u64 {
        self.rows.lock().iter().map(|batch| batch.get_array_memory_size() as u64).sum()
    }

    fn take(&self, batches: Vec<RecordBatch>, replaces: bool) {
        let mut rows = self.rows.lock();
        if replaces {
            rows.clear();
        }
        rows.extend(batches);
    }
}

impl fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTable").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for MemoryTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let now = self.rows.lock().clone();
        MemTable::try_new(self.schema.clone(), vec![now])?.scan(session, projection, filters, limit).await
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::sink::test_batches::{batch, context, schema};

    fn sink(session: &SessionContext, options: &[(&str, &str)]) -> MemorySink {
        let mut context = context(std::path::Path::new("cp"), schema());
        (context.query_name, context.session) = (Some("words".to_owned()), session.clone());
        MemorySink::new(&Options::from_iter(options.iter().copied()), &context).unwrap()
    }

    async fn total(session: &SessionContext) -> String {
        let answer =
            session.sql("SELECT count(*), sum(n) FROM words").await.unwrap().collect().await.unwrap();
        let value = |column: usize| {
            datafusion::arrow::util::display::array_value_to_string(answer[0].column(column), 0).unwrap()
        };
        format!("{} rows, {}", value(0), value(1))
    }

    #[tokio::test]
    async fn rows_are_appended_or_replaced_and_can_be_queried_in_between() {
        let session = SessionContext::new();
        let mut sink = sink(&session, &[]);
        assert_eq!(sink.write_batch(batch(0, &[&[("a", 1)], &[("b", 2)]])).await.unwrap(), 2);
        assert_eq!(total(&session).await, "2 rows, 3");
        assert_eq!(sink.write_batch(batch(0, &[&[("a", 1)]])).await.unwrap(), 0, "it is there already");
        sink.write_batch(batch(1, &[&[("c", 3)]])).await.unwrap();
        assert_eq!(total(&session).await, "3 rows, 6");
        let complete = SinkBatch { output_mode: OutputMode::Complete, ..batch(2, &[&[("a", 10)]]) };
        sink.write_batch(complete).await.unwrap();
        assert_eq!(total(&session).await, "1 rows, 10");
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused() {
        let session = SessionContext::new();
        let mut full = sink(&session, &[("maxBytes", "10")]);
        let error = full.write_batch(batch(0, &[&[("a", 1)]])).await.unwrap_err().to_string();
        assert!(error.contains("maxBytes, which is 10"), "{error}");
        let error = sink(&session, &[]).write_batch(batch(3, &[])).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "This query does not support recovering from checkpoint location. Delete cp/offsets to start over."
        );
        let context = context(std::path::Path::new("cp"), schema());
        let error = MemorySink::new(&Options::default(), &context).err().unwrap().to_string();
        assert_eq!(error, "queryName must be specified for memory sink.");
    }
}
