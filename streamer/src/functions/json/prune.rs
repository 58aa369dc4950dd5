//! Each text is parsed once, and only for the fields that the query uses.
//!
//! Works on a plan that is optimized already, for the optimizer's rules would put a filter's share of the parsing apart
//! again. Spark does the same with `OptimizeCsvJsonExprs` and nested column pruning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};

use super::parse_json::ParseJson;
use super::share::share_with_filter;

/// What is used of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Usage {
    All,
    Fields(BTreeSet<String>),
}

impl Usage {
    fn add(&mut self, other: &Usage) {
        match (&mut *self, other) {
            (Usage::Fields(fields), Usage::Fields(others)) => fields.extend(others.iter().cloned()),
            _ => *self = Usage::All,
        }
    }

    fn has(&self, field: &str) -> bool {
        match self {
            Usage::All => true,
            Usage::Fields(fields) => fields.contains(field),
        }
    }
}

/// Of columns by their names, whatever table they are of, and of parsed texts by their expressions.
#[derive(Debug, Default)]
struct Usages {
    columns: BTreeMap<String, Usage>,
    parses: Vec<(Expr, Usage)>,
}

/// Rewrites a whole plan; its result stays the same.
pub(crate) fn prune_json(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.exists(|node| Ok(node.expressions().iter().any(parses_json)))? {
        return Ok(plan);
    }
    let plan = plan.transform_up(share_with_filter)?.data;
    let mut all = Usages::default();
    for field in plan.schema().fields() {
        all.columns.insert(field.name().clone(), Usage::All);
    }
    prune(plan, &all)
}

/// `used` says of the columns of this node which of their fields are used above it.
fn prune(plan: LogicalPlan, used: &Usages) -> Result<LogicalPlan> {
    let mut below = Usages::default();
    let keeps_columns = matches!(
        plan,
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::SubqueryAlias(_)
    );
    if keeps_columns {
        for (name, usage) in &used.columns {
            below.use_column(name, usage);
        }
    }
    match &plan {
        LogicalPlan::Projection(projection) => {
            for (expr, field) in projection.expr.iter().zip(projection.schema.fields()) {
                let usage = used.columns.get(field.name()).cloned().unwrap_or(Usage::All);
                below.use_whole(expr, &usage)?;
            }
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Aggregate(_) => {
            for expr in plan.expressions() {
                below.use_within(&expr)?;
            }
        }
        // Of other nodes nothing is known.
        _ => {
            for field in plan.inputs().iter().flat_map(|input| input.schema().fields()) {
                below.use_column(field.name(), &Usage::All);
            }
            for expr in plan.expressions() {
                below.use_within(&expr)?;
            }
        }
    }
    let plan = plan.map_children(|child| prune(child, &below).map(Transformed::yes))?.data;
    let plan = below.narrow(plan)?;
    plan.recompute_schema()
}

impl Usages {
    fn use_column(&mut self, name: &str, usage: &Usage) {
        match self.columns.get_mut(name) {
            Some(known) => known.add(usage),
            None => drop(self.columns.insert(name.to_owned(), usage.clone())),
        }
    }

    fn use_parse(&mut self, parse: &Expr, usage: &Usage) {
        match self.parses.iter_mut().find(|(known, _)| known == parse) {
            Some((_, known)) => known.add(usage),
            None => self.parses.push((parse.clone(), usage.clone())),
        }
    }

    /// `expr` makes a column of which `usage` is used.
    fn use_whole(&mut self, expr: &Expr, usage: &Usage) -> Result<()> {
        match expr {
            Expr::Alias(alias) => self.use_whole(&alias.expr, usage),
            Expr::Column(column) => {
                self.use_column(&column.name, usage);
                Ok(())
            }
            parse if parse_of(parse).is_some() => {
                self.use_parse(parse, usage);
                self.use_arguments(parse)
            }
            other => self.use_within(other),
        }
    }

    fn use_within(&mut self, expr: &Expr) -> Result<()> {
        if let Some((value, field)) = field_of(expr) {
            let usage = Usage::Fields(BTreeSet::from([field.to_owned()]));
            return self.use_whole(value, &usage);
        }
        match expr {
            Expr::Alias(_) | Expr::Column(_) => self.use_whole(expr, &Usage::All),
            parse if parse_of(parse).is_some() => self.use_whole(parse, &Usage::All),
            other => self.use_arguments(other),
        }
    }

    fn use_arguments(&mut self, expr: &Expr) -> Result<()> {
        expr.apply_children(|child| {
            self.use_within(child)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// Parses in the node's own expressions only what is used.
    fn narrow(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let narrow = |expr: Expr| {
            let usage = self.parses.iter().find(|(parse, _)| *parse == expr);
            let narrowed = usage.and_then(|(_, usage)| parse_of(&expr)?.narrowed(|field| usage.has(field)));
            match (narrowed, expr) {
                (Some(narrowed), Expr::ScalarFunction(call)) => {
                    let function = Arc::new(ScalarUDF::from(narrowed));
                    let call = ScalarFunction::new_udf(function, call.args);
                    Ok(Transformed::yes(Expr::ScalarFunction(call)))
                }
                (_, expr) => Ok(Transformed::no(expr)),
            }
        };
        Ok(plan.map_expressions(|expr| expr.transform_up(narrow))?.data)
    }
}

pub(super) fn parse_of(expr: &Expr) -> Option<&ParseJson> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<ParseJson>(),
        _ => None,
    }
}

pub(super) fn parses_json(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(parse_of(expr).is_some())).unwrap_or(false)
}

/// `get_field(value, 'field', …)`
fn field_of(expr: &Expr) -> Option<(&Expr, &str)> {
    match expr {
        Expr::ScalarFunction(call) if call.name() == "get_field" => match call.args.as_slice() {
            [value, Expr::Literal(field, _), ..] => Some((value, field.try_as_str()??)),
            _ => None,
        },
        _ => None,
    }
}

/// For a column of this name, whichever table it is of.
pub(super) fn unqualified(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
