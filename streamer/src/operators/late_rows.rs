//! Rows that the watermark has passed: kept apart where the user wants them routed to a table or topic. Joins and
//! deduplication drop rows, an aggregation drops their groups.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, not};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;

use super::context::BatchContext;
use super::event_time::{EventTimeKey, ends};
use crate::plan_node::{only_child, with_new_children};

/// Passes all rows on, and remembers those that are late.
#[derive(Debug)]
pub(super) struct LateRowsExec {
    input: Arc<dyn ExecutionPlan>,
    /// The grouping by which a row is late.
    event_time: EventTimeKey,
    expr: Arc<dyn PhysicalExpr>,
    /// The number of the aggregation.
    operator: Option<usize>,
}

impl LateRowsExec {
    /// `None` for an aggregation that the watermark does nothing to.
    pub(super) fn below(partial: &AggregateExec, event_time: Option<EventTimeKey>) -> Option<LateRowsExec> {
        let event_time = event_time?;
        let (expr, _) = partial.group_expr().expr().get(event_time.column)?;
        Some(LateRowsExec { input: partial.input().clone(), event_time, expr: expr.clone(), operator: None })
    }

    pub(super) fn of_operator(&self, operator: usize) -> LateRowsExec {
        LateRowsExec {
            input: self.input.clone(),
            event_time: self.event_time,
            expr: self.expr.clone(),
            operator: Some(operator),
        }
    }
}

pub(super) fn as_late_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<&LateRowsExec> {
    let node: &dyn Any = plan.as_ref();
    node.downcast_ref()
}

fn late_rows(
    rows: &RecordBatch,
    expr: &Arc<dyn PhysicalExpr>,
    event_time: EventTimeKey,
    late_ms: i64,
) -> Result<Option<RecordBatch>> {
    let column = expr.evaluate(rows)?.into_array(rows.num_rows())?;
    let late = is_late(event_time, &column, late_ms)?;
    if late.true_count() == 0 {
        return Ok(None);
    }
    Ok(Some(filter_record_batch(rows, &late)?))
}

/// The rows that are not late, and how many are. Spark's `WatermarkSupport`.
pub(super) fn without_late_rows(
    batch: &BatchContext,
    rows: RecordBatch,
    event_time: Option<EventTimeKey>,
    late_ms: i64,
) -> Result<(RecordBatch, u64)> {
    let Some(event_time) = event_time else {
        return Ok((rows, 0));
    };
    let late = is_late(event_time, rows.column(event_time.column), late_ms)?;
    let count = late.true_count() as u64;
    if count == 0 {
        return Ok((rows, 0));
    }
    if batch.keeps_late_rows {
        batch.add_late_rows(filter_record_batch(&rows, &late)?);
    }
    Ok((filter_record_batch(&rows, &not(&late)?)?, count))
}

fn is_late(event_time: EventTimeKey, column: &ArrayRef, late_ms: i64) -> Result<BooleanArray> {
    let late_us = late_ms.saturating_mul(1_000);
    Ok(ends(event_time, column)?.iter().map(|end| Some(end.is_some_and(|end| end <= late_us))).collect())
}

impl DisplayAs for LateRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateRowsExec: {}", self.expr)
    }
}

impl ExecutionPlan for LateRowsExec {
    fn name(&self) -> &'static str {
        "LateRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.expr)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (event_time, expr, operator) = (self.event_time, self.expr.clone(), self.operator);
        Ok(Arc::new(LateRowsExec { input: only_child(children)?, event_time, expr, operator }))
    }

    with_new_children!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch = BatchContext::of(&context)?;
        let late_ms = batch.operator(self.operator)?.watermarks.late_ms;
        let (expr, event_time) = (self.expr.clone(), self.event_time);
        let rows = self.input.execute(partition, context)?.map(move |rows| {
            let rows = rows?;
            if let Some(late) = late_rows(&rows, &expr, event_time, late_ms)? {
                batch.add_late_rows(late);
            }
            Ok::<_, DataFusionError>(rows)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
