//! A batch whose rows are in memory.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result as EngineResult;
use datafusion::physical_plan::ExecutionPlan;

use super::BatchRead;

/// One partition, rows in order.
#[derive(Debug)]
pub(super) struct RowsInMemory {
    pub(super) schema: SchemaRef,
    pub(super) rows: Vec<RecordBatch>,
}

#[async_trait]
impl BatchRead for RowsInMemory {
    async fn scan(
        &self,
        _session: &dyn Session,
        projection: &[usize],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let partitions = std::slice::from_ref(&self.rows);
        let projection = Some(projection.to_vec());
        Ok(Some(MemorySourceConfig::try_new_exec(partitions, self.schema.clone(), projection)?))
    }
}
