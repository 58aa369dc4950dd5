//! How windows of event time are planned. Spark's `TimeWindowing` and `SessionWindowing`.
//!
//! An aggregation by `window(…)` groups by the window's start alone, a number, and puts the window together again
//! behind the aggregation. A row in several windows that slide becomes several rows. Rows without a time are in none.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection};

use crate::functions::time_window::{
    SESSION_WINDOW, WINDOW, WindowSpec, interval_us, marked_start, window_of, window_starts,
};

const START: &str = "window start";
const STARTS: &str = "window starts";

/// Plans every window of a query.
pub(crate) fn plan_windows(plan: LogicalPlan) -> Result<LogicalPlan> {
    // What columns say of event time comes up from below, and has changed there.
    plan.transform_up_with_subqueries(|node| match node.recompute_schema()? {
        LogicalPlan::Aggregate(aggregate) => plan_aggregate(aggregate),
        LogicalPlan::Projection(projection) => plan_projection(projection),
        other => {
            let slides = find(&other.expressions())?.is_some_and(|call| call.slides());
            if slides {
                let message = "windows that slide are for GROUP BY and SELECT";
                return Err(DataFusionError::Plan(message.to_owned()));
            }
            Ok(Transformed::no(other))
        }
    })
    .map(|planned| planned.data)
}

/// A call of `window` or `session_window`.
#[derive(Clone, Debug, PartialEq)]
enum WindowCall {
    Window { call: Expr, time: Expr, spec: WindowSpec },
    Session { call: Expr },
}

impl WindowCall {
    fn parse(expr: &Expr) -> Result<Option<WindowCall>> {
        let Expr::ScalarFunction(function) = expr else {
            return Ok(None);
        };
        match (function.name(), function.args.as_slice()) {
            (WINDOW, [time, arguments @ ..]) => {
                let arguments = arguments.iter().map(|argument| match argument {
                    Expr::Literal(value, _) => interval_us(value),
                    other => Err(DataFusionError::Plan(format!(
                        "the durations of `window` are constants such as '10 minutes', not {other}"
                    ))),
                });
                let spec = WindowSpec::new(&arguments.collect::<Result<Vec<_>>>()?)?;
                Ok(Some(WindowCall::Window { call: expr.clone(), time: time.clone(), spec }))
            }
            (SESSION_WINDOW, [_, ..]) => Ok(Some(WindowCall::Session { call: expr.clone() })),
            _ => Ok(None),
        }
    }

    fn call(&self) -> &Expr {
        match self {
            WindowCall::Window { call, .. } | WindowCall::Session { call } => call,
        }
    }

    fn slides(&self) -> bool {
        matches!(self, WindowCall::Window { spec, .. } if spec.slides())
    }
}

/// The one window that is called anywhere in the expressions.
fn find(exprs: &[Expr]) -> Result<Option<WindowCall>> {
    let mut found: Option<WindowCall> = None;
    for expr in exprs {
        expr.apply(|part| {
            let Some(call) = WindowCall::parse(part)? else {
                return Ok(TreeNodeRecursion::Continue);
            };
            if found.as_ref().is_some_and(|found| *found != call) {
                return Err(DataFusionError::Plan(
                    "[MULTI_TIME_WINDOW] Multiple time/session window expressions would result in a cartesian product \
                     of rows, therefore they are currently not supported."
                        .to_owned(),
                ));
            }
            found = Some(call);
            Ok(TreeNodeRecursion::Jump)
        })?;
    }
    Ok(found)
}

fn plan_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let Some(window) = find(&aggregate.group_expr)? else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let Aggregate { input, mut group_expr, aggr_expr, schema, .. } = aggregate;
    let input = with_time(Arc::unwrap_or_clone(input), &window)?;
    let place = group_expr.iter().position(|expr| expr.clone().unalias() == *window.call());
    let (WindowCall::Window { time, spec, .. }, Some(place)) = (&window, place) else {
        let planned = Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?;
        return Ok(Transformed::yes(LogicalPlan::Aggregate(planned)));
    };
    let (input, start) = with_start(input, time, *spec)?;
    if let Some(expr) = group_expr.get_mut(place) {
        *expr = start.alias(START);
    }
    let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?);
    let columns = schema.iter().enumerate().map(|(index, (relation, field))| {
        if index == place {
            window_of(Expr::Column(Column::new_unqualified(START)), spec).alias(field.name())
        } else {
            Expr::Column(Column::new(relation.cloned(), field.name()))
        }
    });
    let planned = Projection::try_new(columns.collect(), Arc::new(grouped))?;
    Ok(Transformed::yes(LogicalPlan::Projection(planned)))
}

fn plan_projection(projection: Projection) -> Result<Transformed<LogicalPlan>> {
    let Some(window) = find(&projection.expr)? else {
        return Ok(Transformed::no(LogicalPlan::Projection(projection)));
    };
    // A window function of an aggregation below stands here as a column.
    let Projection { expr, input, .. } = projection;
    let input = with_time(Arc::unwrap_or_clone(input), &window)?;
    let WindowCall::Window { call, time, spec } = &window else {
        let planned = Projection::try_new(expr, Arc::new(input))?;
        return Ok(Transformed::yes(LogicalPlan::Projection(planned)));
    };
    let (input, start) = with_start(input, time, *spec)?;
    let replacement = window_of(start, spec);
    let names = NamePreserver::new_for_projection();
    let exprs = expr.into_iter().map(|expr| {
        let name = names.save(&expr);
        let replaced = expr.transform_up(|part| {
            Ok(if part == *call { Transformed::yes(replacement.clone()) } else { Transformed::no(part) })
        })?;
        Ok(name.restore(replaced.data))
    });
    let planned = Projection::try_new(exprs.collect::<Result<_>>()?, Arc::new(input))?;
    Ok(Transformed::yes(LogicalPlan::Projection(planned)))
}

/// The rows that have a time, and so are in a window.
fn with_time(input: LogicalPlan, window: &WindowCall) -> Result<LogicalPlan> {
    let time = match window {
        WindowCall::Window { time, .. } => time.clone(),
        WindowCall::Session { call } => call.clone(),
    };
    LogicalPlanBuilder::from(input).filter(time.is_not_null())?.build()
}

/// The rows, each as often as it is in a window, and the start of that window.
fn with_start(input: LogicalPlan, time: &Expr, spec: WindowSpec) -> Result<(LogicalPlan, Expr)> {
    let starts = window_starts(time.clone(), &spec);
    if !spec.slides() {
        return Ok((input, starts));
    }
    let columns = input.schema().iter().map(|(relation, field)| Expr::from((relation, field)));
    let columns: Vec<_> = columns.chain([starts.alias(STARTS)]).collect();
    let starts = Column::new_unqualified(STARTS);
    let plan = LogicalPlanBuilder::from(input).project(columns)?.unnest_column(starts.clone())?.build()?;
    Ok((plan, marked_start(Expr::Column(starts), time.clone(), &spec)))
}
