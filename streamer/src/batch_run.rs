//! One batch from its plan to the sink: what runs between the two logs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::DateTime;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::execute_stream_partitioned;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::conf::Conf;
use crate::malformed_records::MalformedRecords;
use crate::micro_batch::{SharedObserver, Step};
use crate::operators::context::{
    BatchContext, EventTimeStats, Interrupted, OperatorContext, StateMetrics, StateStores, Watermarks,
};
use crate::operators::incremental::IncrementalPlan;
use crate::optimized_plan::OptimizedPlan;
use crate::progress::StateOperatorProgress;
use crate::session::StreamingPlan;
use crate::set_aside::{self, SetAside};
use crate::sink::{Sink, SinkBatch, SinkError};
use crate::source::{BatchRead, SourceDefinition};
use crate::state::StateError;

/// Runs the batches of a query one after the other; owns its state and its sink.
pub(crate) struct BatchRunner {
    plan: StreamingPlan,
    optimized: OptimizedPlan,
    sink: Box<dyn Sink>,
    late_rows: Option<SetAside>,
    malformed_rows: Option<SetAside>,
    malformed: Vec<Arc<MalformedRecords>>,
    state_folder: PathBuf,
    stores: Arc<StateStores>,
    /// The plan of the last batch.
    last: Option<IncrementalPlan>,
}

/// What is to be run.
pub(crate) struct BatchTask {
    pub(crate) id: u64,
    /// `current_timestamp()` in the whole batch, and again when the batch runs again.
    pub(crate) timestamp_ms: i64,
    pub(crate) watermarks: Watermarks,
    pub(crate) end_offsets: Vec<Option<String>>,
    pub(crate) observer: SharedObserver,
}

/// A batch whose plan stands.
pub(crate) struct PlannedBatch {
    task: BatchTask,
    plan: IncrementalPlan,
    session: SessionState,
}

/// What a batch did.
pub(crate) struct BatchRun {
    /// Of each source.
    pub(crate) input_rows: Vec<u64>,
    pub(crate) output_rows: u64,
    /// That do not fit the schema of `from_json` or of a file source.
    pub(crate) malformed_rows: u64,
    pub(crate) state_operators: Vec<StateOperatorProgress>,
    /// Of each watermark: its delay in milliseconds and what it saw.
    pub(crate) event_times: Vec<(i64, EventTimeStats)>,
}

#[derive(Debug, Error)]
pub enum BatchRunError {
    #[error("{}", innermost(.0))]
    Engine(#[from] DataFusionError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("the query was interrupted by its observer")]
    Interrupted,
}

impl BatchRunner {
    pub(crate) fn new(plan: StreamingPlan, checkpoint: &Checkpoint, sink: Box<dyn Sink>) -> BatchRunner {
        let stores = Arc::new(StateStores::new(plan.conf.state_memory()));
        let state_folder = checkpoint.state_folder();
        let optimized = OptimizedPlan::new(plan.plan.clone());
        let malformed = plan.malformed.clone();
        BatchRunner {
            plan,
            optimized,
            sink,
            late_rows: None,
            malformed_rows: None,
            malformed,
            state_folder,
            stores,
            last: None,
        }
    }

    pub(crate) fn set_late_rows(&mut self, late_rows: SetAside) {
        self.late_rows = Some(late_rows);
    }

    pub(crate) fn set_malformed_rows(&mut self, malformed_rows: SetAside) {
        self.malformed_rows = Some(malformed_rows);
    }

    pub(crate) fn conf(&self) -> &Conf {
        &self.plan.conf
    }

    pub(crate) fn definitions(&self) -> Vec<Arc<dyn SourceDefinition>> {
        self.plan.streams.iter().map(|stream| stream.definition.clone()).collect()
    }

    /// Whether the sink takes the rows of the query's output mode.
    pub(crate) fn check_sink(&self) -> Result<(), SinkError> {
        self.sink.supports(self.plan.output_mode)
    }

    pub(crate) fn sink_description(&self) -> String {
        self.sink.description()
    }

    /// Whether a batch without data would give out rows or drop state, now that the watermark is here.
    pub(crate) fn waits_for(&self, watermark_ms: i64) -> bool {
        self.last.as_ref().is_some_and(|plan| plan.waits_for(watermark_ms))
    }

    /// `reads` are the rows of each stream.
    pub(crate) async fn plan(
        &mut self,
        task: BatchTask,
        reads: Vec<Option<Arc<dyn BatchRead>>>,
    ) -> Result<PlannedBatch, BatchRunError> {
        for (stream, read) in self.plan.streams.iter().zip(reads) {
            stream.table.set_batch(read);
        }
        let mut session = self.plan.context.state();
        session.execution_props_mut().query_execution_start_time =
            DateTime::from_timestamp_millis(task.timestamp_ms);
        let optimized = self.optimized.of_batch(&session)?;
        let physical = session.query_planner().create_physical_plan(&optimized, &session).await?;
        let plan =
            IncrementalPlan::new(physical, self.plan.output_mode, task.watermarks, self.late_rows.is_some())?;
        Ok(PlannedBatch { task, plan, session })
    }

    /// The stateful operators of a planned batch, by number.
    pub(crate) fn operator_names(planned: &PlannedBatch) -> Vec<&'static str> {
        planned.plan.operators.iter().map(|operator| operator.name).collect()
    }

    /// Writes the batch's state and its rows.
    pub(crate) async fn run(&mut self, planned: PlannedBatch) -> Result<BatchRun, BatchRunError> {
        let PlannedBatch { task, plan, session } = planned;
        let context = Arc::new(self.batch_context(&task, &plan));
        self.malformed.iter().for_each(|records| records.begin(self.malformed_rows.is_some()));
        let partitions =
            execute_stream_partitioned(plan.physical.clone(), task_context(session, context.clone()))?;
        let batch = SinkBatch {
            id: task.id,
            output_mode: self.plan.output_mode,
            schema: self.plan.named(&plan.physical.schema()),
            partitions,
            end_offsets: task.end_offsets.clone(),
        };
        let output_rows = match self.sink.write_batch(batch).await {
            Ok(rows) => rows,
            Err(error) if is_interrupted(&error) => return Err(BatchRunError::Interrupted),
            Err(error) => return Err(error.into()),
        };
        context.read_unfinished().await.map_err(interrupted_or_failed)?;
        if let Some(late_rows) = &mut self.late_rows {
            let (rows, late_ms) = (context.take_late_rows(), task.watermarks.late_ms);
            let rows = set_aside::late_values(task.id, late_ms, &rows, self.plan.time_zone);
            late_rows.write(task.id, rows.map_err(SinkError::from)?, task.end_offsets.clone()).await?;
        }
        let mut malformed_rows = 0;
        let mut records = Vec::new();
        for (count, kept) in self.malformed.iter().map(|records| records.take()) {
            malformed_rows += count;
            records.extend(kept);
        }
        if let Some(sink) = &mut self.malformed_rows {
            sink.write(task.id, set_aside::malformed_values(task.id, &records), task.end_offsets).await?;
        }
        if let Some(keep_from) = task.id.checked_sub(self.plan.conf.min_batches_to_retain()) {
            self.stores.purge(keep_from)?;
        }
        let metrics = plan.operators.iter().zip(context.state_metrics());
        let run = BatchRun {
            input_rows: self.plan.streams.iter().map(|stream| stream.table.rows_read()).collect(),
            output_rows,
            malformed_rows,
            state_operators: metrics.map(|(operator, metrics)| progress(operator.name, &metrics)).collect(),
            event_times: plan.delays_ms.iter().copied().zip(context.event_times()).collect(),
        };
        self.last = Some(plan);
        Ok(run)
    }

    fn batch_context(&self, task: &BatchTask, plan: &IncrementalPlan) -> BatchContext {
        let operators = plan.operators.iter().enumerate().map(|(id, operator)| {
            let folder = self.state_folder.join(id.to_string()).join("0");
            OperatorContext::new(operator.watermarks, folder, self.stores.clone())
        });
        let (observer, id) = (task.observer.clone(), task.id);
        let on_state_written: Box<dyn Fn() -> ControlFlow<()> + Send + Sync> =
            Box::new(move || observer.lock().step(id, Step::StateWritten));
        let watermarks = plan.delays_ms.len();
        let mut context =
            BatchContext::new(id, self.plan.output_mode, operators.collect(), watermarks, on_state_written);
        context.keeps_late_rows = self.late_rows.is_some();
        context
    }
}

fn task_context(mut session: SessionState, batch: Arc<BatchContext>) -> Arc<TaskContext> {
    session.config_mut().set_extension(batch);
    session.task_ctx()
}

fn is_interrupted(error: &SinkError) -> bool {
    matches!(error, SinkError::Rows(error) if comes_from_observer(error))
}

fn interrupted_or_failed(error: DataFusionError) -> BatchRunError {
    if comes_from_observer(&error) { BatchRunError::Interrupted } else { error.into() }
}

fn comes_from_observer(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::External(cause) => cause.is::<Interrupted>(),
        _ => false,
    }
}

/// What went wrong, without the layers that it came through.
pub(crate) fn innermost(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::External(cause) => cause.to_string(),
        other => other.strip_backtrace(),
    }
}

fn progress(operator_name: &'static str, metrics: &StateMetrics) -> StateOperatorProgress {
    StateOperatorProgress {
        operator_name,
        num_rows_total: metrics.rows_total,
        num_rows_updated: metrics.rows_updated,
        all_updates_time_ms: metrics.updates_ms,
        num_rows_removed: metrics.rows_removed,
        all_removals_time_ms: metrics.removals_ms,
        commit_time_ms: metrics.commit_ms,
        memory_used_bytes: metrics.memory_bytes,
        num_rows_dropped_by_watermark: metrics.rows_dropped,
        num_shuffle_partitions: 1,
        num_state_store_instances: 1,
        custom_metrics: metrics
            .duplicates_dropped
            .map(|dropped| ("numDroppedDuplicateRows", dropped))
            .into_iter()
            .collect(),
    }
}
