//! A batch's physical plan, made ready to run on state: stateful nodes put in, numbered, and given their watermarks.
//! Spark's `IncrementalExecution`, with the rules of its `WatermarkPropagator`.

use std::any::Any;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use super::aggregate::{StatefulAggregateExec, with_state};
use super::context::Watermarks;
use super::dedup::DedupExec;
use super::late_rows::as_late_rows;
use super::limit::LimitExec;
use super::stream_join::StreamJoinExec;
use super::unfinished::read_to_the_end;
use super::watermark::as_watermark;
use crate::output_mode::OutputMode;

/// A plan that runs once, with the [`super::context::BatchContext`] of its batch.
#[derive(Debug)]
pub(crate) struct IncrementalPlan {
    pub(crate) physical: Arc<dyn ExecutionPlan>,
    /// By number, which grows from the result down to the streams.
    pub(crate) operators: Vec<StatefulOperator>,
    /// The delay of each watermark of the plan, in milliseconds.
    pub(crate) delays_ms: Vec<i64>,
}

/// What the protocol must know of a stateful node.
#[derive(Clone, Debug)]
pub(crate) struct StatefulOperator {
    /// Spark's `operatorName`.
    pub(crate) name: &'static str,
    /// Whether a watermark that moves on lets it give out rows or drop state.
    pub(crate) waits_for_watermark: bool,
    pub(crate) watermarks: Watermarks,
}

/// The physical nodes that have state.
pub(crate) trait StatefulNode {
    fn operator_name(&self) -> &'static str;

    fn waits_for_watermark(&self, mode: OutputMode) -> bool;

    /// The watermark of what it gives out, in milliseconds.
    fn output_watermark_ms(&self, input_ms: i64) -> i64 {
        input_ms
    }

    fn numbered(&self, id: usize) -> Result<Arc<dyn ExecutionPlan>>;
}

impl IncrementalPlan {
    /// `watermarks` are those of the query in this batch.
    pub(crate) fn new(
        physical: Arc<dyn ExecutionPlan>,
        mode: OutputMode,
        watermarks: Watermarks,
        keeps_late_rows: bool,
    ) -> Result<IncrementalPlan> {
        let mut numbering = Numbering { mode, operators: Vec::new(), delays_ms: Vec::new() };
        let physical = numbering.visit(&read_to_the_end(with_state(physical, keeps_late_rows)?)?)?;
        let Numbering { operators, delays_ms, .. } = numbering;
        let mut plan = IncrementalPlan { physical, operators, delays_ms };
        plan.operators = plan.with_watermarks(watermarks);
        Ok(plan)
    }

    /// Whether an operator that ran in this plan would give out rows or drop state at this watermark.
    pub(crate) fn waits_for(&self, watermark_ms: i64) -> bool {
        let then = self.with_watermarks(Watermarks { late_ms: watermark_ms, eviction_ms: watermark_ms });
        let mut operators = self.operators.iter().zip(then);
        operators.any(|(now, then)| {
            now.waits_for_watermark && then.watermarks.eviction_ms > now.watermarks.eviction_ms
        })
    }

    fn with_watermarks(&self, query: Watermarks) -> Vec<StatefulOperator> {
        let mut operators = self.operators.clone();
        let mut next = operators.len();
        propagate(&self.physical, &mut operators, &mut next, query);
        operators
    }
}

fn stateful(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn StatefulNode> {
    let node: &dyn Any = plan.as_ref();
    let aggregate = node.downcast_ref::<StatefulAggregateExec>().map(|node| node as &dyn StatefulNode);
    let join = || node.downcast_ref::<StreamJoinExec>().map(|node| node as &dyn StatefulNode);
    let dedup = || node.downcast_ref::<DedupExec>().map(|node| node as &dyn StatefulNode);
    let limit = || node.downcast_ref::<LimitExec>().map(|node| node as &dyn StatefulNode);
    aggregate.or_else(join).or_else(dedup).or_else(limit)
}

struct Numbering {
    mode: OutputMode,
    operators: Vec<StatefulOperator>,
    delays_ms: Vec<i64>,
}

impl Numbering {
    /// Numbers a node before its children.
    fn visit(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let numbered = if let Some(node) = stateful(plan) {
            let id = self.operators.len();
            self.operators.push(StatefulOperator {
                name: node.operator_name(),
                waits_for_watermark: node.waits_for_watermark(self.mode),
                watermarks: Watermarks::default(),
            });
            node.numbered(id)?
        } else if let Some(watermark) = as_watermark(plan) {
            let id = self.delays_ms.len();
            self.delays_ms.push(watermark.delay_ms());
            Arc::new(watermark.numbered(id)?)
        } else if let Some(late_rows) = as_late_rows(plan) {
            // It stands right below its aggregation.
            Arc::new(late_rows.of_operator(self.operators.len().saturating_sub(1)))
        } else {
            plan.clone()
        };
        let children = numbered.children().into_iter().map(|child| self.visit(child));
        let children = children.collect::<Result<Vec<_>>>()?;
        datafusion::physical_plan::execution_plan::replace_children_if_necessary(numbered, children)
    }
}

/// Follows the watermarks from the streams up, and returns those of the node's rows: `None` where there is none.
/// Nodes are met in the reverse order of their numbers.
fn propagate(
    plan: &Arc<dyn ExecutionPlan>,
    operators: &mut [StatefulOperator],
    next: &mut usize,
    query: Watermarks,
) -> Option<Watermarks> {
    let children = plan.children().into_iter().rev();
    let inputs: Vec<_> = children.filter_map(|child| propagate(child, operators, next, query)).collect();
    if as_watermark(plan).is_some() {
        return Some(query);
    }
    let input = inputs.into_iter().reduce(|left, right| Watermarks {
        late_ms: left.late_ms.min(right.late_ms),
        eviction_ms: left.eviction_ms.min(right.eviction_ms),
    });
    let Some(node) = stateful(plan) else {
        return input;
    };
    *next = next.saturating_sub(1);
    if let Some(operator) = operators.get_mut(*next) {
        operator.watermarks = input.unwrap_or_default();
    }
    input.map(|input| Watermarks {
        late_ms: node.output_watermark_ms(input.late_ms),
        eviction_ms: node.output_watermark_ms(input.eviction_ms),
    })
}
