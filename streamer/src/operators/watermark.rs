//! `WATERMARK ts DELAY OF …`: passes rows on, and remembers how far event time has come.
//! Spark's `EventTimeWatermark` and `EventTimeWatermarkExec`.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{Schema, TimestampMicrosecondType};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::StreamExt;

use super::context::{BatchContext, EventTimeStats};
use super::event_time::{is_timestamp, with_delay};
use super::with_schema;
use crate::plan_node::{only_child, with_new_children, without_expressions};

/// The logical node. Its schema marks the column, see [`super::event_time`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventTimeWatermark {
    input: LogicalPlan,
    column: Column,
    delay_ms: i64,
    schema: DFSchemaRef,
}

impl EventTimeWatermark {
    /// `input` with a watermark `delay_ms` behind the latest value of `column`, a timestamp.
    pub fn plan(input: LogicalPlan, column: Column, delay_ms: i64) -> Result<LogicalPlan> {
        let node = EventTimeWatermark::try_new(input, column, delay_ms)?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    fn try_new(input: LogicalPlan, column: Column, delay_ms: i64) -> Result<EventTimeWatermark> {
        let index = input.schema().index_of_column(&column)?;
        let schema = with_marked_field(input.schema(), index, delay_ms)?;
        Ok(EventTimeWatermark { input, column, delay_ms, schema })
    }

    fn column_index(&self) -> Result<usize> {
        self.schema.index_of_column(&self.column)
    }

    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Result<EventTimeWatermarkExec> {
        EventTimeWatermarkExec::try_new(input, self.column_index()?, self.delay_ms, None)
    }
}

fn with_marked_field(schema: &DFSchemaRef, index: usize, delay_ms: i64) -> Result<DFSchemaRef> {
    let field = schema.field(index);
    if !is_timestamp(field.data_type()) {
        return Err(DataFusionError::Plan(format!(
            "[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE] The event time `{}` has the invalid type \"{}\", but expected \
             \"TIMESTAMP\". SQLSTATE: 42K09",
            field.name(),
            field.data_type()
        )));
    }
    let fields = schema.iter().enumerate().map(|(place, (relation, field))| {
        let field = if place == index { Arc::new(with_delay(field, delay_ms)) } else { field.clone() };
        (relation.cloned(), field)
    });
    let marked = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    Ok(Arc::new(marked.with_functional_dependencies(schema.functional_dependencies().clone())?))
}

impl PartialOrd for EventTimeWatermark {
    fn partial_cmp(&self, other: &EventTimeWatermark) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for EventTimeWatermark {
    fn name(&self) -> &'static str {
        "EventTimeWatermark"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![Expr::Column(self.column.clone())]
    }

    /// A filter on event time must not hide rows from the watermark.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::from([self.column.name.clone()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventTimeWatermark: {}, delay={} ms", self.column, self.delay_ms)
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> Result<EventTimeWatermark> {
        let column = match exprs.into_iter().next() {
            Some(Expr::Column(column)) => column,
            _ => self.column.clone(),
        };
        let input = inputs.into_iter().next().unwrap_or_else(|| self.input.clone());
        EventTimeWatermark::try_new(input, column, self.delay_ms)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut columns = output_columns.to_vec();
        columns.push(self.column_index().ok()?);
        columns.sort_unstable();
        columns.dedup();
        Some(vec![columns])
    }
}

/// The physical node.
#[derive(Debug)]
pub(crate) struct EventTimeWatermarkExec {
    input: Arc<dyn ExecutionPlan>,
    column: usize,
    delay_ms: i64,
    /// Its number among the watermarks of the plan, once they are counted.
    id: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl EventTimeWatermarkExec {
    fn try_new(
        input: Arc<dyn ExecutionPlan>,
        column: usize,
        delay_ms: i64,
        id: Option<usize>,
    ) -> Result<EventTimeWatermarkExec> {
        let schema = input.schema();
        let fields = schema.fields().iter().enumerate().map(|(place, field)| {
            if place == column { Arc::new(with_delay(field, delay_ms)) } else { field.clone() }
        });
        let fields: Vec<_> = fields.collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(EventTimeWatermarkExec { input, column, delay_ms, id, properties: Arc::new(properties) })
    }

    pub(super) fn delay_ms(&self) -> i64 {
        self.delay_ms
    }

    pub(super) fn numbered(&self, id: usize) -> Result<EventTimeWatermarkExec> {
        EventTimeWatermarkExec::try_new(self.input.clone(), self.column, self.delay_ms, Some(id))
    }
}

pub(super) fn as_watermark(plan: &Arc<dyn ExecutionPlan>) -> Option<&EventTimeWatermarkExec> {
    let node: &dyn Any = plan.as_ref();
    node.downcast_ref()
}

impl DisplayAs for EventTimeWatermarkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let name = schema.fields().get(self.column).map_or("?", |field| field.name());
        write!(f, "EventTimeWatermarkExec: {name}, delay={} ms", self.delay_ms)
    }
}

impl ExecutionPlan for EventTimeWatermarkExec {
    fn name(&self) -> &'static str {
        "EventTimeWatermarkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    without_expressions!();

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_child(children)?;
        Ok(Arc::new(EventTimeWatermarkExec::try_new(input, self.column, self.delay_ms, self.id)?))
    }

    with_new_children!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_context = BatchContext::of(&context)?;
        let id =
            self.id.ok_or_else(|| DataFusionError::Internal("a watermark without a number".to_owned()))?;
        let (column, schema) = (self.column, self.schema());
        let rows = self.input.execute(partition, context)?.map(move |batch| {
            let batch = batch?;
            batch_context.add_event_times(id, event_times(batch.column(column).as_ref()));
            with_schema(&batch, &schema)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

fn event_times(column: &dyn Array) -> EventTimeStats {
    let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() else {
        return EventTimeStats::default();
    };
    let mut stats = EventTimeStats::of(times.iter().flatten());
    if times.null_count() > 0 {
        // Spark reads the 0 that stands behind a null.
        stats.merge(EventTimeStats::of(std::iter::repeat_n(0, times.null_count())));
    }
    stats
}
