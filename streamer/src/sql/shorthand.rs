//! Functions of Spark that are short for other expressions: they are written out.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::parser::Parser;

use super::ast::plain_call;
use super::dialect::SparkDialect;

/// Name, number of arguments, and what is meant.
const SHORTHANDS: &[(&str, usize, &str)] = &[
    // Text.
    ("ucase", 1, "upper($1)"),
    ("lcase", 1, "lower($1)"),
    ("startswith", 2, "starts_with($1, $2)"),
    ("endswith", 2, "ends_with($1, $2)"),
    ("locate", 2, "strpos($2, $1)"),
    ("space", 1, "space(CAST($1 AS INT))"),
    // Casts by the name of the type.
    ("string", 1, "CAST($1 AS STRING)"),
    ("boolean", 1, "CAST($1 AS BOOLEAN)"),
    ("tinyint", 1, "CAST($1 AS TINYINT)"),
    ("smallint", 1, "CAST($1 AS SMALLINT)"),
    ("int", 1, "CAST($1 AS INT)"),
    ("bigint", 1, "CAST($1 AS BIGINT)"),
    ("float", 1, "CAST($1 AS FLOAT)"),
    ("double", 1, "CAST($1 AS DOUBLE)"),
    ("decimal", 1, "CAST($1 AS DECIMAL(10,0))"),
    ("date", 1, "CAST($1 AS DATE)"),
    ("timestamp", 1, "CAST($1 AS TIMESTAMP)"),
    ("binary", 1, "CAST($1 AS BYTEA)"),
    // Null.
    ("isnull", 1, "$1 IS NULL"),
    ("isnotnull", 1, "$1 IS NOT NULL"),
    ("nvl2", 3, "CASE WHEN $1 IS NOT NULL THEN $2 ELSE $3 END"),
    // Numbers.
    ("sign", 1, "signum($1)"),
    ("log", 1, "ln($1)"),
    ("e", 0, "exp(1)"),
    ("positive", 1, "$1"),
    ("factorial", 1, "factorial(CAST($1 AS INT))"),
    ("try_divide", 2, "$1 / nullif($2, 0)"),
    ("try_mod", 2, "$1 % nullif($2, 0)"),
    // Times.
    ("now", 0, "CAST(now() AS TIMESTAMP)"),
    ("current_timestamp", 0, "CAST(now() AS TIMESTAMP)"),
    ("year", 1, "date_part('YEAR', $1)"),
    ("quarter", 1, "date_part('QUARTER', $1)"),
    ("month", 1, "date_part('MONTH', $1)"),
    ("weekofyear", 1, "date_part('WEEK', $1)"),
    ("day", 1, "date_part('DAY', $1)"),
    ("dayofmonth", 1, "date_part('DAY', $1)"),
    ("dayofyear", 1, "date_part('DOY', $1)"),
    ("dayofweek", 1, "CAST(date_part('DOW', CAST($1 AS DATE)) AS INT)"),
    ("from_utc_timestamp", 2, "CAST(from_utc_timestamp(CAST($1 AS TIMESTAMP), $2) AS TIMESTAMP)"),
    ("to_utc_timestamp", 2, "CAST(to_utc_timestamp(CAST($1 AS TIMESTAMP), $2) AS TIMESTAMP)"),
    ("date_add", 2, "date_add($1, CAST($2 AS INT))"),
    ("date_sub", 2, "date_sub($1, CAST($2 AS INT))"),
    ("add_months", 2, "add_months($1, CAST($2 AS INT))"),
    ("date_from_unix_date", 1, "arrow_cast(CAST($1 AS INT), 'Date32')"),
    ("timestamp_seconds", 1, "CAST($1 AS TIMESTAMP)"),
    (
        "timestamp_millis",
        1,
        "CAST(arrow_cast(CAST($1 AS BIGINT) * 1000, 'Timestamp(µs, \"UTC\")') AS TIMESTAMP)",
    ),
    ("timestamp_micros", 1, "CAST(arrow_cast(CAST($1 AS BIGINT), 'Timestamp(µs, \"UTC\")') AS TIMESTAMP)"),
    // Arrays and maps.
    ("size", 1, "CASE WHEN $1 IS NOT NULL THEN size($1) END"),
    ("cardinality", 1, "CASE WHEN $1 IS NOT NULL THEN size($1) END"),
    ("regexp_count", 2, "CAST(regexp_count($1, $2) AS INT)"),
    ("regexp_instr", 2, "CAST(regexp_instr($1, $2) AS INT)"),
    ("array_size", 1, "CAST(array_length($1) AS INT)"),
    (
        "array_position",
        2,
        "CASE WHEN $1 IS NOT NULL THEN CAST(coalesce(array_position($1, $2), 0) AS BIGINT) END",
    ),
    ("array_prepend", 2, "array_prepend($2, $1)"),
    ("sort_array", 1, "array_sort($1, 'ASC', 'NULLS FIRST')"),
    (
        "sort_array",
        2,
        "CASE WHEN $2 THEN array_sort($1, 'ASC', 'NULLS FIRST') ELSE array_sort($1, 'DESC', 'NULLS LAST') END",
    ),
    ("sequence", 2, "generate_series($1, $2)"),
    ("sequence", 3, "generate_series($1, $2, $3)"),
    ("map_contains_key", 2, "array_has(map_keys($1), $2)"),
    // Aggregates.
    ("count_if", 1, "count(CASE WHEN $1 THEN 1 END)"),
    ("first", 1, "first_value($1)"),
    ("any_value", 1, "first_value($1)"),
    ("last", 1, "last_value($1)"),
    ("every", 1, "bool_and($1)"),
    ("some", 1, "bool_or($1)"),
    ("any", 1, "bool_or($1)"),
    ("std", 1, "stddev($1)"),
    ("variance", 1, "var_samp($1)"),
    ("try_avg", 1, "avg($1)"),
    ("array_agg", 1, "collect_list($1)"),
    ("approx_count_distinct", 1, "CAST(approx_distinct($1) AS BIGINT)"),
    ("regr_count", 2, "CAST(regr_count($1, $2) AS BIGINT)"),
    ("percentile", 2, "percentile_cont($1, $2)"),
    (
        "max_by",
        2,
        "get_field(max(CASE WHEN $2 IS NOT NULL THEN named_struct('by', $2, 'value', $1) END), 'value')",
    ),
    (
        "min_by",
        2,
        "get_field(min(CASE WHEN $2 IS NOT NULL THEN named_struct('by', $2, 'value', $1) END), 'value')",
    ),
];

/// Whether some calls of the function are short for something. The name is in lower case.
pub(super) fn is_one(name: &str) -> bool {
    SHORTHANDS.iter().any(|(known, ..)| *known == name)
}

/// What the call is short for. `None` for others, and for those with DISTINCT.
pub(super) fn written_out(call: &Function) -> Option<Expr> {
    let (name, arguments) = plain_call(call)?;
    let (.., meant) =
        SHORTHANDS.iter().find(|(known, count, _)| *known == name && *count == arguments.len())?;
    let mut arguments = Arguments(arguments.into_iter().cloned().collect());
    let mut meant = Parser::new(&SparkDialect).try_with_sql(meant).ok()?.parse_expr().ok()?;
    // The visitor never breaks.
    let _ = meant.visit(&mut arguments);
    let is_plain = call.filter.is_none() && call.over.is_none() && call.null_treatment.is_none();
    let written_for = match &mut meant {
        Expr::Cast { expr, .. } => expr.as_mut(),
        other => other,
    };
    match written_for {
        Expr::Function(function) if !function.name.to_string().contains("get_field") => {
            function.filter.clone_from(&call.filter);
            function.over.clone_from(&call.over);
            function.null_treatment = call.null_treatment;
        }
        _ if !is_plain => return None,
        _ => {}
    }
    Some(Expr::Nested(Box::new(meant)))
}

/// Puts arguments in the place of `$1` and so on.
struct Arguments(Vec<Expr>);

impl VisitorMut for Arguments {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(place) = &value.value
            && let Some(argument) =
                place.trim_start_matches('$').parse::<usize>().ok().and_then(|place| self.0.get(place - 1))
        {
            *expr = match argument {
                // The planner knows them as arguments alone.
                Expr::Lambda(_) => argument.clone(),
                argument => Expr::Nested(Box::new(argument.clone())),
            };
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_can_be_parsed_and_names_all_arguments() {
        for (name, count, meant) in SHORTHANDS {
            let parsed = Parser::new(&SparkDialect).try_with_sql(meant).unwrap().parse_expr();
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
            for place in 1..=*count {
                assert!(meant.contains(&format!("${place}")), "{name}: ${place}");
            }
        }
    }
}
