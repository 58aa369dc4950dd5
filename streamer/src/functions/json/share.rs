//! A filter and what stands above it parse the same text once.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection};

use super::prune::{parse_of, parses_json, unqualified};

/// Where a projection or an aggregation and the filter below it parse the same text, what is parsed comes from below
/// both. Parts of the filter that parse nothing go below that.
pub(super) fn share_with_filter(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_)) {
        return Ok(Transformed::no(node));
    }
    let inputs = node.inputs();
    let [LogicalPlan::Filter(filter)] = inputs.as_slice() else {
        return Ok(Transformed::no(node));
    };
    let mut shared = Vec::new();
    let filtered = parses_in(&filter.predicate)?;
    for expr in node.expressions() {
        for parse in parses_in(&expr)? {
            if filtered.contains(&parse) && !shared.contains(&parse) {
                shared.push(parse);
            }
        }
    }
    if shared.is_empty() {
        return reuse_below_filter(node);
    }
    let filter = filter_over_parsed(filter, &shared)?;
    let names = NamePreserver::new(&node);
    let expressions = node.expressions().into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(with_columns(expr, &shared)?))
    });
    let expressions = expressions.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(node.with_new_exprs(expressions, vec![filter])?))
}

/// Where a projection below the filters of a node has parsed a text already, the node need not.
fn reuse_below_filter(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut below = node.inputs();
    while let [LogicalPlan::Filter(filter)] = below.as_slice() {
        below = vec![filter.input.as_ref()];
    }
    let [LogicalPlan::Projection(projection)] = below.as_slice() else {
        return Ok(Transformed::no(node));
    };
    let columns = projection.schema.columns();
    let parsed: Vec<(Expr, Expr)> = projection
        .expr
        .iter()
        .zip(columns)
        .filter_map(|(expr, column)| match expr {
            Expr::Alias(alias) if parse_of(&alias.expr).is_some() => {
                // What the text is made of has to be the same above and below the projection.
                let is_passed_on = |column: &&Column| {
                    projection
                        .expr
                        .iter()
                        .any(|expr| matches!(expr, Expr::Column(passed) if passed == *column))
                };
                let is_same = alias.expr.column_refs().iter().all(is_passed_on);
                is_same.then(|| (alias.expr.as_ref().clone(), Expr::Column(column)))
            }
            _ => None,
        })
        .collect();
    let reuse = |expr: Expr| {
        let column =
            |expr: &Expr| parsed.iter().find(|(parse, _)| parse == expr).map(|(_, column)| column.clone());
        expr.transform_down(|expr| match column(&expr) {
            Some(column) => Ok(Transformed::yes(column)),
            None => Ok(Transformed::no(expr)),
        })
    };
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(reuse(expr)?.update_data(|expr| name.restore(expr)))
    })
}

fn parses_in(expr: &Expr) -> Result<Vec<Expr>> {
    let mut parses = Vec::new();
    expr.apply(|expr| {
        if parse_of(expr).is_some() {
            parses.push(expr.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(parses)
}

/// The filter over a projection that adds what is parsed to the filter's input.
fn filter_over_parsed(filter: &Filter, shared: &[Expr]) -> Result<LogicalPlan> {
    let (late, early): (Vec<&Expr>, Vec<&Expr>) =
        split_conjunction(&filter.predicate).into_iter().partition(|part| parses_json(part));
    let mut input = filter.input.clone();
    if let Some(early) = conjunction(early.into_iter().cloned()) {
        input = Arc::new(LogicalPlan::Filter(Filter::try_new(early, input)?));
    }
    let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    columns.extend(shared.iter().enumerate().map(|(place, parse)| parse.clone().alias(column_name(place))));
    let parsed = LogicalPlan::Projection(Projection::try_new(columns, input)?);
    let late = late.into_iter().map(|part| with_columns(part.clone(), shared)).collect::<Result<Vec<_>>>()?;
    let Some(late) = conjunction(late) else {
        return Ok(parsed);
    };
    Ok(LogicalPlan::Filter(Filter::try_new(late, Arc::new(parsed))?))
}

fn with_columns(expr: Expr, shared: &[Expr]) -> Result<Expr> {
    let replaced = expr.transform_down(|expr| match shared.iter().position(|parse| *parse == expr) {
        Some(place) => Ok(Transformed::yes(unqualified(&column_name(place)))),
        None => Ok(Transformed::no(expr)),
    })?;
    Ok(replaced.data)
}

/// No query can write this name.
fn column_name(place: usize) -> String {
    format!("parsed json {place}")
}
