//! Joins of two streams. Spark's `StreamingSymmetricHashJoinExec`.
//!
//! Rows of both sides are kept, so that those of later batches find them, until the watermark tells that no partner can
//! come any more ([`state_watermark`]); a row that had none by then is given out by an outer join. In a batch, rows that
//! arrive on the left meet the right's stored ones, those on the right meet the left's stored ones and those that have
//! just arrived there, so that each pair is made once ([`matching`]). [`store`] is what is kept.

pub(crate) mod check;
mod exec;
mod matching;
mod row_numbers;
mod run;
mod side;
mod state_watermark;
mod store;

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, JoinType, NullEquality};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Extension, Join, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::PhysicalPlanner;

use super::event_time::EventTimeKey;
pub(crate) use exec::StreamJoinExec;
use matching::PairFilter;
use side::Side;
use state_watermark::Eviction;

/// The logical node; takes the place of a join when everything else is optimized, and the equal keys have been found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamJoin {
    join: Join,
}

/// The physical node's part that is the same in each batch.
#[derive(Debug)]
struct JoinSpec {
    join_type: JoinType,
    left: Side,
    right: Side,
    filter: Option<PairFilter>,
    /// Whether keys that are null are equal.
    nulls_equal: bool,
}

impl StreamJoin {
    pub(super) fn plan(join: Join) -> Result<LogicalPlan> {
        if join.on.is_empty() {
            let message = "Stream-stream join without equality predicate is not supported.";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(StreamJoin { join }) }))
    }

    pub(super) fn physical(
        &self,
        [left, right]: [Arc<dyn ExecutionPlan>; 2],
        planner: &dyn PhysicalPlanner,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<StreamJoinExec> {
        let Join { left: left_plan, right: right_plan, join_type, .. } = &self.join;
        let (left_schema, right_schema) = (left_plan.schema(), right_plan.schema());
        let physical =
            |expr: &Expr, schema: &DFSchemaRef| planner.create_physical_expr(expr, schema, session, context);
        let condition = Condition::split(self.join.filter.as_ref(), left_schema, right_schema);
        let (left_keys, right_keys): (Vec<_>, Vec<_>) = self.join.on.iter().map(|(l, r)| (l, r)).unzip();
        let residual = self.join.filter.as_ref();
        let left_eviction = Eviction::new((left_schema, &left_keys), (right_schema, &right_keys), residual);
        let right_eviction = Eviction::new((right_schema, &right_keys), (left_schema, &left_keys), residual);
        let side = |schema: &DFSchemaRef,
                    keys: &[&Expr],
                    own: Option<&Expr>,
                    eviction,
                    plan: &Arc<dyn ExecutionPlan>| {
            let keys = keys.iter().map(|key| physical(key, schema)).collect::<Result<Vec<_>>>()?;
            let condition = own.map(|own| physical(own, schema)).transpose()?;
            let event_time = EventTimeKey::find(schema.fields().iter().map(AsRef::as_ref));
            Ok::<_, DataFusionError>(Side {
                keys,
                condition,
                event_time,
                eviction,
                schema: plan.schema(),
                outer: false,
            })
        };
        let mut left_side = side(left_schema, &left_keys, condition.left.as_ref(), left_eviction, &left)?;
        let mut right_side =
            side(right_schema, &right_keys, condition.right.as_ref(), right_eviction, &right)?;
        left_side.outer = matches!(join_type, JoinType::Left | JoinType::Full);
        right_side.outer = matches!(join_type, JoinType::Right | JoinType::Full);
        let both = Arc::new(build_join_schema(left_schema, right_schema, &JoinType::Inner)?);
        let filter = condition.both.map(|filter| physical(&filter, &both)).transpose()?;
        let filter = filter.map(|filter: Arc<dyn PhysicalExpr>| {
            PairFilter::new(filter, &left_side.schema, &right_side.schema)
        });
        let spec = JoinSpec {
            join_type: *join_type,
            left: left_side,
            right: right_side,
            filter: filter.transpose()?,
            // In a full outer join Spark 4.1.1 finds a partner for a null key among null keys.
            nulls_equal: self.join.null_equality == NullEquality::NullEqualsNull
                || *join_type == JoinType::Full,
        };
        Ok(StreamJoinExec::new(left, right, Arc::new(spec), None))
    }
}

/// A join's condition beside the equal keys: what one side's rows must fulfil alone, and the rest.
struct Condition {
    left: Option<Expr>,
    right: Option<Expr>,
    both: Option<Expr>,
}

impl Condition {
    fn split(filter: Option<&Expr>, left: &DFSchemaRef, right: &DFSchemaRef) -> Condition {
        let (mut of_left, mut of_right, mut of_both) = (Vec::new(), Vec::new(), Vec::new());
        for part in filter.map(split_conjunction).unwrap_or_default() {
            let columns = part.column_refs();
            let only =
                |schema: &DFSchemaRef| columns.iter().all(|column| schema.is_column_from_schema(column));
            let parts = match (part.is_volatile(), only(left), only(right)) {
                (false, true, _) => &mut of_left,
                (false, false, true) => &mut of_right,
                _ => &mut of_both,
            };
            parts.push(part.clone());
        }
        Condition { left: conjunction(of_left), right: conjunction(of_right), both: conjunction(of_both) }
    }
}

impl PartialOrd for StreamJoin {
    fn partial_cmp(&self, other: &StreamJoin) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for StreamJoin {
    fn name(&self) -> &'static str {
        "StreamJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.join.left, &self.join.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.join.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        LogicalPlan::Join(self.join.clone()).expressions()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.join.on.iter().map(|(left, right)| format!("{left} = {right}")).collect();
        write!(f, "{} StreamJoin: {}", self.join.join_type, keys.join(", "))?;
        match &self.join.filter {
            Some(filter) => write!(f, " Filter: {filter}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<StreamJoin> {
        match LogicalPlan::Join(self.join.clone()).with_new_exprs(exprs, inputs)? {
            LogicalPlan::Join(join) => Ok(StreamJoin { join }),
            other => Err(DataFusionError::Internal(format!("a join became {}", other.display()))),
        }
    }
}
