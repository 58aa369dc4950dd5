//! What becomes of the joins of an optimized query, before it becomes a physical plan.
//!
//! A join of two streams gets state. In a join with static data the stream is put on the right, which DataFusion reads
//! row by row while it holds the left in memory. Both are the same in each batch, whatever its size, so that state stays
//! where it is.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection};

use super::stream_join::StreamJoin;
use crate::source::is_streaming;

pub(crate) fn plan_joins(plan: LogicalPlan) -> Result<LogicalPlan> {
    let planned = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => match (is_streaming(&join.left), is_streaming(&join.right)) {
            (true, true) => Ok(Transformed::yes(StreamJoin::plan(join)?)),
            (true, false) => with_stream_right(join).map(Transformed::yes),
            _ => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(planned.data)
}

/// Refuses what only shows when the query is optimized: joins of streams without equal keys.
pub(crate) fn check_joins(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node
            && is_streaming(&join.left)
            && is_streaming(&join.right)
        {
            StreamJoin::plan(join.clone())?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The same rows from the sides swapped.
fn with_stream_right(join: Join) -> Result<LogicalPlan> {
    let join_type = match join.join_type {
        JoinType::Inner => JoinType::Inner,
        JoinType::Left => JoinType::Right,
        JoinType::LeftSemi => JoinType::RightSemi,
        JoinType::LeftAnti if !join.null_aware => JoinType::RightAnti,
        JoinType::LeftMark => JoinType::RightMark,
        _ => return Ok(LogicalPlan::Join(join)),
    };
    let swapped = Join::try_new(
        join.right,
        join.left,
        join.on.into_iter().map(|(left, right)| (right, left)).collect(),
        join.filter,
        join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let has_both_sides = matches!(join_type, JoinType::Inner | JoinType::Right);
    if !has_both_sides {
        return Ok(LogicalPlan::Join(swapped));
    }
    let columns = join.schema.iter().map(Expr::from).collect();
    let in_order =
        Projection::try_new_with_schema(columns, Arc::new(LogicalPlan::Join(swapped)), join.schema)?;
    Ok(LogicalPlan::Projection(in_order))
}
