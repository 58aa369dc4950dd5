//! One batch from its plan to the sink: what runs between the two logs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chrono::DateTime;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use thiserror::Error;

use crate::aggregate::SplitAggregate;
use crate::conf::Conf;
use crate::kafka::source::{KafkaSource, OffsetRange};
use crate::output_mode::OutputMode;
use crate::progress::StateOperatorProgress;
use crate::session::StreamingPlan;
use crate::sink::{Sink, SinkBatch, SinkError};
use crate::state::{StateError, StateStore};

/// Runs the batches of a query one after the other; owns its state and its sink.
pub(crate) struct BatchRunner {
    plan: StreamingPlan,
    sink: Box<dyn Sink>,
    state_folder: PathBuf,
    state: Option<StateStore>,
}

/// A batch whose plan stands.
pub(crate) struct PlannedBatch {
    id: u64,
    physical: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

/// A batch whose state is written.
pub(crate) struct ComputedBatch {
    planned: PlannedBatch,
    state_operator: Option<StateOperatorProgress>,
}

/// What a batch did.
pub(crate) struct BatchRun {
    /// Of each source.
    pub(crate) input_rows: Vec<u64>,
    pub(crate) output_rows: u64,
    pub(crate) state_operator: Option<StateOperatorProgress>,
}

#[derive(Debug, Error)]
pub enum BatchRunError {
    #[error("{}", innermost(.0))]
    Engine(#[from] DataFusionError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl BatchRunner {
    pub(crate) fn new(plan: StreamingPlan, state_folder: PathBuf, sink: Box<dyn Sink>) -> BatchRunner {
        BatchRunner { plan, sink, state_folder, state: None }
    }

    pub(crate) fn conf(&self) -> &Conf {
        &self.plan.conf
    }

    pub(crate) fn sink_description(&self) -> String {
        self.sink.description()
    }

    /// Points the streams to what the next batch reads.
    pub(crate) fn read(&self, sources: &[KafkaSource], ranges: Vec<Vec<OffsetRange>>) {
        for ((stream, source), ranges) in self.plan.streams.iter().zip(sources).zip(ranges) {
            stream.table.set_batch(source.clone(), ranges);
        }
    }

    /// `current_timestamp()` is `timestamp_ms` in the whole batch, and again when the batch runs again.
    pub(crate) async fn plan(&self, id: u64, timestamp_ms: i64) -> Result<PlannedBatch, BatchRunError> {
        let mut state = self.plan.context.state();
        state.execution_props_mut().query_execution_start_time =
            DateTime::from_timestamp_millis(timestamp_ms);
        let physical = state.create_physical_plan(&self.plan.plan).await?;
        Ok(PlannedBatch { id, physical, context: state.task_ctx() })
    }

    /// Runs the partial half of an aggregation and merges it with the state. A query without one has nothing to do.
    pub(crate) async fn update_state(
        &mut self,
        planned: PlannedBatch,
    ) -> Result<ComputedBatch, BatchRunError> {
        let Some(split) = SplitAggregate::find(&planned.physical)? else {
            return Ok(ComputedBatch { planned, state_operator: None });
        };
        let state = match &mut self.state {
            Some(state) => state,
            state => state.insert(StateStore::open(
                &self.state_folder,
                planned.id,
                split.schema().clone(),
                split.keys(),
            )?),
        };
        let started = Instant::now();
        let mut groups = split.partial(planned.context.clone()).await?;
        groups.insert(0, state.lookup(&groups)?);
        let changed = split.merge(groups, planned.context.clone()).await?;
        let updates_time = started.elapsed();
        state.commit(planned.id + 1, &changed)?;
        let commit_time = started.elapsed() - updates_time;
        if let Some(keep_from) = planned.id.checked_sub(self.plan.conf.min_batches_to_retain()) {
            state.purge(keep_from)?;
        }
        let updated = changed.iter().map(|batch| batch.num_rows() as u64).sum();
        let progress = state_progress(state, updated, updates_time.as_millis(), commit_time.as_millis());
        let result = match self.plan.output_mode {
            OutputMode::Complete => vec![state.all()?],
            OutputMode::Append | OutputMode::Update => changed,
        };
        let physical = split.finish(result)?;
        Ok(ComputedBatch { planned: PlannedBatch { physical, ..planned }, state_operator: Some(progress) })
    }

    pub(crate) async fn write_rows(
        &mut self,
        computed: ComputedBatch,
        end_offsets: Vec<Option<String>>,
    ) -> Result<BatchRun, BatchRunError> {
        let ComputedBatch { planned, state_operator } = computed;
        let schema = named(&planned.physical.schema(), &self.plan.names);
        let partitions = execute_stream_partitioned(planned.physical, planned.context)?;
        let output_mode = self.plan.output_mode;
        let batch = SinkBatch { id: planned.id, output_mode, schema, partitions, end_offsets };
        let output_rows = self.sink.write_batch(batch).await?;
        let input_rows = self.plan.streams.iter().map(|stream| stream.table.rows_read()).collect();
        Ok(BatchRun { input_rows, output_rows, state_operator })
    }
}

/// The result's columns under the user's names.
fn named(schema: &Schema, names: &[String]) -> SchemaRef {
    let fields = schema.fields().iter().zip(names);
    Arc::new(Schema::new(fields.map(|(field, name)| Field::clone(field).with_name(name)).collect::<Vec<_>>()))
}

/// What went wrong, without the layers that it came through.
pub(crate) fn innermost(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::External(cause) => cause.to_string(),
        other => other.strip_backtrace(),
    }
}

fn state_progress(
    state: &StateStore,
    num_rows_updated: u64,
    updates_ms: u128,
    commit_ms: u128,
) -> StateOperatorProgress {
    StateOperatorProgress {
        operator_name: "stateStoreSave",
        num_rows_total: state.len() as u64,
        num_rows_updated,
        all_updates_time_ms: u64::try_from(updates_ms).unwrap_or(u64::MAX),
        num_rows_removed: 0,
        all_removals_time_ms: 0,
        commit_time_ms: u64::try_from(commit_ms).unwrap_or(u64::MAX),
        memory_used_bytes: state.memory_bytes() as u64,
        num_rows_dropped_by_watermark: 0,
        num_shuffle_partitions: 1,
        num_state_store_instances: 1,
        custom_metrics: Default::default(),
    }
}
