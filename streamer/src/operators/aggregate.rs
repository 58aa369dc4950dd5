//! An aggregation over micro-batches. Spark's `StateStoreRestoreExec` and `StateStoreSaveExec`.
//!
//! Between the partial and the final half of DataFusion's aggregation stands [`StatefulAggregateExec`]: it merges the
//! partial states of a batch's groups with those of earlier batches, and hands on the groups that the output mode asks for.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, replace_children_if_necessary};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream, collect,
};
use futures::{TryFutureExt, stream};

use super::context::{BatchContext, StateMetrics, Watermarks, elapsed_ms};
use super::event_time::{EventTimeKey, is_session};
use super::group_state::{GroupState, Groups, WithKnown};
use super::incremental::StatefulNode;
use super::late_rows::LateRowsExec;
use super::session::SessionState;
use super::with_schema;
use crate::output_mode::OutputMode;
use crate::plan_node::{only_child, with_new_children, without_expressions};
use crate::source::reads_stream;

/// Puts state between the halves of every aggregation over a stream.
///
/// `keeps_late_rows`: rows that are late are remembered.
pub(super) fn with_state(
    plan: Arc<dyn ExecutionPlan>,
    keeps_late_rows: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let with_state = plan.transform_up(|node| {
        let Some(partial) = as_aggregate(&node, AggregateMode::Partial).filter(|_| reads_stream(&node))
        else {
            return Ok(Transformed::no(node));
        };
        let stateful = StatefulAggregateExec::new(node.clone(), partial);
        let late_rows = LateRowsExec::below(partial, stateful.event_time).filter(|_| keeps_late_rows);
        let input = match late_rows {
            None => node.clone(),
            Some(late_rows) => replace_children_if_necessary(node.clone(), vec![Arc::new(late_rows)])?,
        };
        let input = in_one_partition(input);
        Ok(Transformed::yes(Arc::new(StatefulAggregateExec { input, ..stateful })))
    })?;
    Ok(with_state.data)
}

fn in_one_partition(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    }
}

fn as_aggregate(plan: &Arc<dyn ExecutionPlan>, mode: AggregateMode) -> Option<&AggregateExec> {
    let plan: &dyn Any = plan.as_ref();
    plan.downcast_ref::<AggregateExec>().filter(|aggregate| *aggregate.mode() == mode)
}

/// Takes the partial states of groups, and gives them merged with the state.
#[derive(Clone, Debug)]
pub(super) struct StatefulAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    /// The partial half, whose aggregates merge states as well.
    template: AggregateTemplate,
    keys: usize,
    event_time: Option<EventTimeKey>,
    sessions: bool,
    id: Option<usize>,
    properties: Arc<PlanProperties>,
}

/// What it takes to merge partial states.
#[derive(Clone, Debug)]
struct AggregateTemplate {
    groups: PhysicalGroupBy,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    /// The grouping columns, then the states of the aggregates.
    schema: SchemaRef,
}

impl StatefulAggregateExec {
    fn new(input: Arc<dyn ExecutionPlan>, partial: &AggregateExec) -> StatefulAggregateExec {
        let template = AggregateTemplate {
            groups: partial.group_expr().as_final(),
            aggregates: partial.aggr_expr().to_vec(),
            schema: partial.schema(),
        };
        let keys = partial.group_expr().num_group_exprs();
        let schema = &template.schema;
        let groups = || schema.fields().iter().take(keys).map(AsRef::as_ref);
        let (event_time, sessions) = (EventTimeKey::find(groups()), groups().any(is_session));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        StatefulAggregateExec {
            input,
            template,
            keys,
            event_time,
            sessions,
            id: None,
            properties: Arc::new(properties),
        }
    }
}

impl StatefulNode for StatefulAggregateExec {
    fn operator_name(&self) -> &'static str {
        if self.sessions { "sessionWindowStateStoreSaveExec" } else { "stateStoreSave" }
    }

    fn waits_for_watermark(&self, mode: OutputMode) -> bool {
        self.event_time.is_some() && mode != OutputMode::Complete
    }

    fn numbered(&self, id: usize) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(StatefulAggregateExec { id: Some(id), ..self.clone() }))
    }
}

impl DisplayAs for StatefulAggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatefulAggregateExec")
    }
}

impl ExecutionPlan for StatefulAggregateExec {
    fn name(&self) -> &'static str {
        "StatefulAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    without_expressions!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(StatefulAggregateExec { input: only_child(children)?, ..Self::clone(&self) }))
    }

    with_new_children!();

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let groups = self.clone().run(context).map_ok(|groups| stream::iter(groups.into_iter().map(Ok)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), groups.try_flatten_stream())))
    }
}

impl StatefulAggregateExec {
    /// One batch.
    async fn run(self, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        let batch = BatchContext::of(&context)?;
        let Watermarks { late_ms, eviction_ms } = batch.operator(self.id)?.watermarks;
        let store = self.groups()?;
        let mut metrics = StateMetrics::default();

        // A group may come from several partitions.
        let mut groups = collect(self.input.clone(), context.clone()).await?;
        let started = Instant::now();
        if batch.output_mode != OutputMode::Complete || self.sessions {
            (groups, metrics.rows_dropped) = store.without_late(groups, late_ms)?;
        }
        let mut state = batch.open(self.id, &store.description())?;
        let WithKnown { groups, replaced } = store.with_known(&mut state, groups)?;
        metrics.rows_removed = replaced;
        let groups = self.merge(groups, &context).await?;
        store.put(&mut state, &groups)?;
        metrics.rows_updated = groups.iter().map(|groups| groups.num_rows() as u64).sum();
        metrics.updates_ms = elapsed_ms(started);

        let started = Instant::now();
        let mut passed = Vec::new();
        if batch.output_mode != OutputMode::Complete {
            while let Some(groups) = store.take_passed(&mut state, eviction_ms)? {
                metrics.rows_removed += groups.num_rows() as u64;
                if batch.output_mode == OutputMode::Append {
                    passed.push(groups);
                }
            }
        }
        metrics.removals_ms = elapsed_ms(started);
        metrics.rows_total = store.count(&mut state)?;
        let output = match batch.output_mode {
            OutputMode::Complete => store.all(&state)?,
            OutputMode::Update => groups,
            OutputMode::Append => passed,
        };
        batch.commit(self.id, state, metrics)?;
        Ok(output)
    }

    fn groups(&self) -> Result<Box<dyn Groups>> {
        let schema = &self.template.schema;
        if let Some(sessions) = SessionState::new(schema, self.keys)? {
            return Ok(Box::new(sessions));
        }
        Ok(Box::new(GroupState::new(schema.clone(), self.keys, self.event_time)?))
    }

    /// One row per group out of several.
    async fn merge(&self, rows: Vec<RecordBatch>, context: &Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        if rows.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let AggregateTemplate { groups, aggregates, schema } = &self.template;
        let input: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(&[rows], schema.clone(), None)?;
        let merge = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            groups.clone(),
            aggregates.clone(),
            vec![None; aggregates.len()],
            input,
            schema.clone(),
        )?;
        let merged = collect(Arc::new(merge), context.clone()).await?;
        merged.into_iter().map(|batch| with_schema(&batch, schema)).collect()
    }
}
