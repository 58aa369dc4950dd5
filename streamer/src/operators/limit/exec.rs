//! The physical node that lets the first rows through. State: under `rows`, how many that were.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
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

use crate::operators::context::{BatchContext, StateMetrics, elapsed_ms, state_error};
use crate::operators::incremental::StatefulNode;
use crate::output_mode::OutputMode;
use crate::plan_node::{only_child, with_new_children, without_expressions};
use crate::rows::in_order;
use crate::state::StateDescription;

/// Batches that the node may be ahead of whoever takes them.
const AHEAD: usize = 2;

const COUNT: &[u8] = b"rows";

#[derive(Debug)]
pub(crate) struct LimitExec {
    input: Arc<dyn ExecutionPlan>,
    rows: u64,
    id: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl LimitExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, rows: u64, id: Option<usize>) -> LimitExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        LimitExec { input, rows, id, properties: Arc::new(properties) }
    }
}

impl StatefulNode for LimitExec {
    fn operator_name(&self) -> &'static str {
        "globalLimit"
    }

    fn waits_for_watermark(&self, _: OutputMode) -> bool {
        false
    }

    fn numbered(&self, id: usize) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(LimitExec::new(self.input.clone(), self.rows, Some(id))))
    }
}

impl DisplayAs for LimitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LimitExec: globalLimit, rows={}", self.rows)
    }
}

impl ExecutionPlan for LimitExec {
    fn name(&self) -> &'static str {
        "LimitExec"
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
        Ok(Arc::new(LimitExec::new(only_child(children)?, self.rows, self.id)))
    }

    with_new_children!();

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut output = RecordBatchReceiverStream::builder(self.schema(), AHEAD);
        let (input, limit, id) = (self.input.clone(), self.rows, self.id);
        let sender = output.tx();
        output.spawn(run(input, limit, id, context, sender));
        Ok(output.build())
    }
}

/// One batch of the operator. Its input is read to the end, for what has state below seals it there.
async fn run(
    input: Arc<dyn ExecutionPlan>,
    limit: u64,
    id: Option<usize>,
    context: Arc<TaskContext>,
    output: Sender<Result<RecordBatch>>,
) -> Result<()> {
    let batch = BatchContext::of(&context)?;
    let mut store = batch.open(id, &StateDescription { keys: Vec::new(), values: Vec::new() })?;
    let before = match store.get(COUNT).map_err(state_error)? {
        Some(count) => Some(u64::from_be_bytes(count.as_ref().try_into().map_err(|_| damaged())?)),
        None => None,
    };
    let mut metrics = StateMetrics::default();
    let mut given = before.unwrap_or(0);
    let mut rows = in_order(input.schema(), execute_stream_partitioned(input, context)?);
    while let Some(rows) = rows.next().await {
        let rows = rows?;
        let left = usize::try_from(limit.saturating_sub(given)).unwrap_or(usize::MAX);
        let first = rows.num_rows().min(left);
        if first > 0 {
            given += first as u64;
            // Who listens no more needs no rows; the state is still to be written.
            let _ = output.send(Ok(rows.slice(0, first))).await;
        }
    }
    let started = Instant::now();
    if given > before.unwrap_or(0) {
        store.put(COUNT, &given.to_be_bytes()).map_err(state_error)?;
        metrics.rows_updated = 1;
    }
    metrics.updates_ms = elapsed_ms(started);
    metrics.rows_total = u64::from(given > 0);
    batch.commit(id, store, metrics)
}

fn damaged() -> DataFusionError {
    let message = "the state of a LIMIT is damaged; start the query with a new checkpoint";
    DataFusionError::Execution(message.to_owned())
}
