//! The physical node that drops duplicates.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{Array, Int64Array, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream, execute_stream_partitioned,
};
use futures::StreamExt;
use tokio::sync::mpsc::Sender;

use super::Remember;
use super::seen::SeenKeys;
use crate::operators::context::{BatchContext, StateMetrics, Watermarks, elapsed_ms};
use crate::operators::event_time::{EventTimeKey, ends};
use crate::operators::incremental::StatefulNode;
use crate::operators::late_rows::without_late_rows;
use crate::output_mode::OutputMode;
use crate::plan_node::{only_child, with_new_children, without_expressions};
use crate::rows::in_order;
use crate::state::{RowFormat, StateDescription};

/// Batches that the node may be ahead of whoever takes them.
const AHEAD: usize = 2;

/// What is the same in each batch.
#[derive(Debug)]
pub(super) struct DedupSpec {
    /// Places of the columns that make a duplicate.
    pub(super) keys: Vec<usize>,
    pub(super) remember: Remember,
    pub(super) event_time: Option<EventTimeKey>,
    pub(super) delay_ms: i64,
}

#[derive(Debug)]
pub(crate) struct DedupExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<DedupSpec>,
    id: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl DedupExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<DedupSpec>, id: Option<usize>) -> DedupExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        DedupExec { input, spec, id, properties: Arc::new(properties) }
    }
}

impl DedupSpec {
    fn forgets(&self) -> bool {
        match self.remember {
            Remember::Always => self.event_time.is_some_and(|time| self.keys.contains(&time.column)),
            Remember::WithinWatermark => true,
        }
    }

    /// When each row's key is forgotten, in microseconds.
    fn ends(&self, rows: &RecordBatch) -> Result<Option<Int64Array>> {
        let Some(time) = self.event_time.filter(|_| self.forgets()) else {
            return Ok(None);
        };
        let ends = ends(time, rows.column(time.column))?;
        if self.remember == Remember::Always {
            return Ok(Some(ends));
        }
        let delay_us = self.delay_ms.saturating_mul(1_000);
        // Spark takes a row without an event time for one of 1970.
        Ok(Some(ends.iter().map(|end| Some(end.unwrap_or(0).saturating_add(delay_us))).collect()))
    }
}

impl StatefulNode for DedupExec {
    fn operator_name(&self) -> &'static str {
        match self.spec.remember {
            Remember::Always => "dedupe",
            Remember::WithinWatermark => "dedupeWithinWatermark",
        }
    }

    /// Spark runs a batch for it even where nothing is forgotten.
    fn waits_for_watermark(&self, _: OutputMode) -> bool {
        true
    }

    fn numbered(&self, id: usize) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(DedupExec::new(self.input.clone(), self.spec.clone(), Some(id))))
    }
}

impl DisplayAs for DedupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let names = self.spec.keys.iter().filter_map(|key| schema.fields().get(*key));
        let names: Vec<_> = names.map(|field| field.name().as_str()).collect();
        write!(f, "DedupExec: {}, keys=[{}]", self.operator_name(), names.join(", "))
    }
}

impl ExecutionPlan for DedupExec {
    fn name(&self) -> &'static str {
        "DedupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    without_expressions!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(DedupExec::new(only_child(children)?, self.spec.clone(), self.id)))
    }

    with_new_children!();

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut output = RecordBatchReceiverStream::builder(self.schema(), AHEAD);
        let (input, spec, id) = (self.input.clone(), self.spec.clone(), self.id);
        let sender = output.tx();
        output.spawn(run(input, spec, id, context, sender));
        Ok(output.build())
    }
}

/// One batch of the operator.
async fn run(
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<DedupSpec>,
    id: Option<usize>,
    context: Arc<TaskContext>,
    output: Sender<Result<RecordBatch>>,
) -> Result<()> {
    let batch = BatchContext::of(&context)?;
    let Watermarks { late_ms, eviction_ms } = batch.operator(id)?.watermarks;
    let schema = input.schema();
    let keys = spec.keys.iter().filter_map(|key| Some((*key, schema.fields().get(*key)?.clone())));
    let format = RowFormat::new(keys.collect())?;
    let description = StateDescription { keys: format.describe(), values: Vec::new() };
    let mut seen = SeenKeys::new(batch.open(id, &description)?)?;
    let mut metrics = StateMetrics::default();
    let mut rows = in_order(schema, execute_stream_partitioned(input, context)?);
    while let Some(rows) = rows.next().await {
        let rows = rows?;
        let started = Instant::now();
        let (rows, late) = without_late_rows(&batch, rows, spec.event_time, late_ms)?;
        let ends = spec.ends(&rows)?;
        let end_us = |row: usize| ends.as_ref().filter(|ends| ends.is_valid(row)).map(|ends| ends.value(row));
        let first = seen.first(&format.encode(&rows)?, end_us)?;
        let new = first.true_count();
        metrics.rows_dropped += late;
        metrics.rows_updated += new as u64;
        *metrics.duplicates_dropped.get_or_insert(0) += (rows.num_rows() - new) as u64;
        metrics.updates_ms += elapsed_ms(started);
        if new > 0 {
            // Who listens no more needs no rows; the state is still to be written.
            let _ = output.send(Ok(filter_record_batch(&rows, &first)?)).await;
        }
    }
    let started = Instant::now();
    metrics.duplicates_dropped.get_or_insert(0);
    if spec.forgets() {
        metrics.rows_removed = seen.forget(eviction_ms.saturating_mul(1_000))?;
    }
    metrics.removals_ms = elapsed_ms(started);
    metrics.rows_total = seen.count();
    batch.commit(id, seen.finish()?, metrics)
}
