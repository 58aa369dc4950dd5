//! Decimals beside other numbers, and in functions that DataFusion has for doubles alone.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

/// `datafusion-spark` has the average of doubles alone.
pub(super) fn average_of_decimals(aggregate: &AggregateFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let [number] = aggregate.params.args.as_slice() else {
        return Ok(None);
    };
    let average = avg_udaf();
    if aggregate.func.name() != "avg" || aggregate.func == average || !is_decimal(&number.get_type(schema)?) {
        return Ok(None);
    }
    Ok(Some(Expr::AggregateFunction(AggregateFunction { func: average, ..aggregate.clone() })))
}

/// Functions of numbers that are always DOUBLE.
pub(super) const OF_DOUBLES: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "cot",
    "csc",
    "degrees",
    "exp",
    "expm1",
    "hypot",
    "ln",
    "log10",
    "log1p",
    "log2",
    "pow",
    "power",
    "radians",
    "rint",
    "sec",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "width_bucket",
];

/// Decimals as DOUBLE, which DataFusion refuses or computes otherwise.
pub(super) fn with_doubles(function: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let is_decimal = |argument: &Expr| argument.get_type(schema).map(|data_type| is_decimal(&data_type));
    let mut args = function.args.clone();
    let mut is_changed = false;
    for argument in &mut args {
        if is_decimal(argument)? {
            *argument = double(argument);
            is_changed = true;
        }
    }
    Ok(is_changed.then(|| Expr::ScalarFunction(ScalarFunction { args, func: function.func.clone() })))
}

/// Functions whose arguments have one type, which is that of the result or of what is in it.
pub(super) const ONE_TYPE: &[&str] =
    &["coalesce", "greatest", "if", "ifnull", "least", "make_array", "array", "nullif", "nvl", "nvl2"];

/// Decimals beside a DOUBLE or FLOAT become DOUBLE, where DataFusion would take all of them for decimals.
pub(super) fn without_mixed_decimals(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (mut has_decimal, mut has_float) = (false, false);
    expr.apply_children(|part| {
        let data_type = part.get_type(schema)?;
        has_decimal |= is_decimal(&data_type);
        has_float |= data_type.is_floating();
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !(has_decimal && has_float) {
        return Ok(None);
    }
    let unmixed = expr.clone().map_children(|part| {
        let is_decimal = is_decimal(&part.get_type(schema)?);
        Ok(if is_decimal { Transformed::yes(double(&part)) } else { Transformed::no(part) })
    })?;
    Ok(Some(unmixed.data))
}

pub(super) fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

pub(super) fn double(expr: &Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr.clone()), DataType::Float64))
}
