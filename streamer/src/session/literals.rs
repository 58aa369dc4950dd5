//! The types of a query's literals: a whole number that fits in 32 bits is an INT in Spark, a BIGINT for DataFusion's planner.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;

/// For a plan as the planner leaves it, before anything else makes literals.
pub(crate) fn with_spark_literals(plan: LogicalPlan) -> Result<LogicalPlan> {
    let typed = plan.transform_up_with_subqueries(|node| match node {
        // The number of rows, for which the planner has checked the type.
        LogicalPlan::Limit(_) => Ok(Transformed::no(node)),
        LogicalPlan::Values(values) => {
            let rows = values.values.into_iter();
            let rows = rows.map(|row| row.into_iter().map(with_ints).collect::<Result<_>>());
            LogicalPlanBuilder::values(rows.collect::<Result<_>>()?)?.build().map(Transformed::yes)
        }
        node => {
            let names = NamePreserver::new(&node);
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(Transformed::yes(name.restore(with_ints(expr)?)))
            })?;
            node.map_data(LogicalPlan::recompute_schema)
        }
    })?;
    Ok(typed.data)
}

fn with_ints(expr: Expr) -> Result<Expr> {
    let typed = expr.transform_up(|part| match part {
        Expr::Literal(ScalarValue::Int64(Some(number)), metadata) => Ok(match i32::try_from(number) {
            Ok(number) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(number)), metadata)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(number)), metadata)),
        }),
        part => Ok(Transformed::no(part)),
    })?;
    Ok(typed.data)
}
