//! The types of a query's whole numbers: INT where 32 bits suffice, else BIGINT, else DECIMAL. DataFusion's planner has 64
//! bits for all that these hold, with a sign or without.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;

/// For a plan as the planner leaves it, before anything else makes literals.
pub(crate) fn with_spark_literals(plan: LogicalPlan) -> Result<LogicalPlan> {
    let typed = plan.transform_up_with_subqueries(|node| match node {
        // The number of rows, for which the planner has checked the type.
        LogicalPlan::Limit(_) => Ok(Transformed::no(node)),
        LogicalPlan::Values(values) => {
            let rows = values.values.into_iter();
            let rows = rows
                .map(|row| row.into_iter().map(without_type_of_null).map(with_ints).collect::<Result<_>>());
            LogicalPlanBuilder::values(rows.collect::<Result<_>>()?)?.build().map(Transformed::yes)
        }
        node => {
            let names = NamePreserver::new(&node);
            let inputs = merge_schema(&node.inputs());
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                // The parameters of lambdas have the types of what they are called with.
                let typed = with_ints(expr)?.resolve_lambda_variables(&inputs)?;
                Ok(Transformed::yes(name.restore(typed.data)))
            })?;
            node.map_data(LogicalPlan::recompute_schema)
        }
    })?;
    Ok(typed.data)
}

fn with_ints(expr: Expr) -> Result<Expr> {
    let typed = expr.transform_up(|part| match part {
        Expr::Literal(value, metadata) => match spark_value(&value) {
            Some(typed) => Ok(Transformed::yes(Expr::Literal(typed, metadata))),
            None => Ok(Transformed::no(Expr::Literal(value, metadata))),
        },
        part => Ok(Transformed::no(part)),
    })?;
    Ok(typed.data)
}

/// `None` for a value that is what it is in Spark.
fn spark_value(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Int64(Some(number)) => {
            i32::try_from(*number).ok().map(|number| ScalarValue::Int32(Some(number)))
        }
        ScalarValue::UInt64(Some(number)) => {
            let digits = u8::try_from(number.checked_ilog10().unwrap_or(0) + 1).ok()?;
            Some(ScalarValue::Decimal128(Some(i128::from(*number)), digits, 0))
        }
        _ => None,
    }
}

/// A null that the planner has given the type of the numbers beside it.
fn without_type_of_null(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, metadata) if value.is_null() => Expr::Literal(ScalarValue::Null, metadata),
        expr => expr,
    }
}
