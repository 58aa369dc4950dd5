//! A stream as DataFusion sees it: a table over the offset ranges of the batch that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use parking_lot::Mutex;

use super::read::PartitionRead;
use super::schema::{self, Column};
use super::source::{KafkaSource, OffsetRange};

#[derive(Debug)]
pub struct KafkaTable {
    schema: SchemaRef,
    batch: Mutex<Option<BatchInput>>,
    rows_read: Arc<AtomicU64>,
}

/// What a batch reads. Before the first batch there is none.
#[derive(Clone, Debug)]
struct BatchInput {
    source: KafkaSource,
    ranges: Vec<OffsetRange>,
}

impl KafkaTable {
    pub fn new(include_headers: bool, time_zone: &str) -> KafkaTable {
        let schema = schema::schema(include_headers, time_zone);
        KafkaTable { schema, batch: Mutex::default(), rows_read: Arc::default() }
    }

    /// What plans made from here on read.
    pub fn set_batch(&self, source: KafkaSource, ranges: Vec<OffsetRange>) {
        *self.batch.lock() = Some(BatchInput { source, ranges });
        self.rows_read.store(0, Ordering::Relaxed);
    }

    /// Rows read since the batch was set.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    fn partitions(&self, schema: &SchemaRef, columns: &[Column]) -> Vec<Arc<dyn PartitionStream>> {
        let Some(BatchInput { source, ranges }) = self.batch.lock().clone() else {
            return Vec::new();
        };
        let partition = |range| -> Arc<dyn PartitionStream> {
            Arc::new(PartitionRead {
                source: source.clone(),
                range,
                schema: schema.clone(),
                columns: columns.to_vec(),
                rows_read: self.rows_read.clone(),
            })
        };
        ranges.into_iter().map(partition).collect()
    }
}

#[async_trait]
impl TableProvider for KafkaTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let indices = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(indices)?);
        let columns: Vec<_> = indices.iter().filter_map(|index| Column::ALL.get(*index).copied()).collect();
        let partitions = self.partitions(&schema, &columns);
        if partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let exec = StreamingTableExec::try_new(schema, partitions, None, [], false, None)?;
        Ok(Arc::new(exec))
    }
}
