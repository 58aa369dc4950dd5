//! A stream as DataFusion sees it: a table with the rows of the batch that runs.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use parking_lot::Mutex;

use super::{BatchRead, StreamScanExec};

/// Without rows until a batch is set.
#[derive(Debug)]
pub struct StreamTable {
    schema: SchemaRef,
    batch: Mutex<Option<Arc<dyn BatchRead>>>,
    rows_read: Arc<AtomicU64>,
}

impl StreamTable {
    pub fn new(schema: SchemaRef) -> StreamTable {
        StreamTable { schema, batch: Mutex::default(), rows_read: Arc::default() }
    }

    /// What plans made from here on read. `None`: no row.
    pub fn set_batch(&self, batch: Option<Arc<dyn BatchRead>>) {
        *self.batch.lock() = batch;
        self.rows_read.store(0, Ordering::Relaxed);
    }

    /// Rows read since the batch was set.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }
}

/// Whether any row of this plan comes from a stream. Spark's `isStreaming`.
pub(crate) fn is_streaming(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            let provider: &dyn Any = provider.as_ref();
            found |= provider.is::<StreamTable>();
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let batch = self.batch.lock().clone();
        let rows = match batch {
            Some(batch) => batch.scan(session, projection).await?,
            None => None,
        };
        let rows = match rows {
            Some(rows) => rows,
            None => Arc::new(EmptyExec::new(Arc::new(self.schema.project(projection)?))),
        };
        Ok(Arc::new(StreamScanExec::new(rows, self.rows_read.clone())))
    }
}
