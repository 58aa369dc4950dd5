//! An aggregation over micro-batches: the plan of one batch, with the groups of earlier batches merged in between its
//! partial and its final half.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, collect};

/// The one aggregation of a batch's plan.
#[derive(Debug)]
pub(crate) struct SplitAggregate {
    /// The whole plan.
    plan: Arc<dyn ExecutionPlan>,
    partial: Arc<dyn ExecutionPlan>,
    /// Rows of the groups: the grouping columns, then the states of the aggregates.
    schema: SchemaRef,
    keys: usize,
}

impl SplitAggregate {
    /// `None` if the plan does not aggregate. The planner must not have fused both halves into one.
    pub(crate) fn find(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<SplitAggregate>> {
        let mut partial = None;
        plan.apply(|node| {
            if mode(node) == Some(AggregateMode::Partial) {
                partial = Some(node.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let Some(partial) = partial else {
            return Ok(None);
        };
        let keys = as_aggregate(&partial).map_or(0, |aggregate| aggregate.group_expr().num_group_exprs());
        Ok(Some(SplitAggregate { plan: plan.clone(), schema: partial.schema(), partial, keys }))
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// The groups of the batch's own rows.
    pub(crate) async fn partial(&self, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        collect(self.partial.clone(), context).await
    }

    /// One row per group out of several.
    pub(crate) async fn merge(
        &self,
        rows: Vec<RecordBatch>,
        context: Arc<TaskContext>,
    ) -> Result<Vec<RecordBatch>> {
        let aggregate = as_aggregate(&self.partial)
            .ok_or_else(|| DataFusionError::Internal("the partial aggregation is none".to_owned()))?;
        let merge = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            aggregate.group_expr().as_final(),
            aggregate.aggr_expr().to_vec(),
            vec![None; aggregate.aggr_expr().len()],
            self.memory(rows)?,
            self.schema.clone(),
        )?;
        let merged = collect(Arc::new(merge), context).await?;
        merged.into_iter().map(|batch| self.with_own_schema(&batch)).collect()
    }

    /// The plan from the final half on, over merged groups in place of the batch's rows.
    pub(crate) fn finish(&self, groups: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = self.memory(groups)?;
        let plan = self.plan.clone().transform_down(|node| {
            if mode(&node) != Some(AggregateMode::Partial) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::new(input.clone(), true, TreeNodeRecursion::Jump))
        })?;
        Ok(plan.data)
    }

    fn memory(&self, rows: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan: Arc<dyn ExecutionPlan> =
            MemorySourceConfig::try_new_exec(&[rows], self.schema.clone(), None)?;
        Ok(plan)
    }

    /// The same columns; only their nullability may have been told otherwise.
    fn with_own_schema(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let options =
            datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn as_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Option<&AggregateExec> {
    let plan: &dyn Any = plan.as_ref();
    plan.downcast_ref()
}

fn mode(plan: &Arc<dyn ExecutionPlan>) -> Option<AggregateMode> {
    as_aggregate(plan).map(|aggregate| *aggregate.mode())
}
