//! Which rows of the result a batch gives to the sink, and which queries have such rows at all.
//! Spark's `UnsupportedOperationChecker`.

use std::fmt;
use std::str::FromStr;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Window};
use thiserror::Error;

use crate::operators::dedup::Deduplicate;
use crate::operators::event_time::{EventTimeKey, is_session};
use crate::operators::stream_join;
pub use crate::operators::stream_join::check::UnsupportedJoin;
use crate::source::is_streaming;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputMode {
    /// Rows that will not change any more.
    #[default]
    Append,
    /// Every group, after each batch.
    Complete,
    /// The groups that the batch changed.
    Update,
}

/// Why a query cannot run, in Spark's words where Spark has them.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UnsupportedQuery {
    #[error(
        "[STREAMING_OUTPUT_MODE.INVALID] Invalid streaming output mode: {0}. Accepted output modes are 'Append', \
         'Complete', 'Update'. SQLSTATE: 42KDE"
    )]
    InvalidMode(String),
    #[error(
        "[STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION] Invalid streaming output mode: {mode}. This output mode is not \
         supported for {operation} on streaming DataFrames/DataSets. SQLSTATE: 42KDE{hint}"
    )]
    Mode { mode: OutputMode, operation: &'static str, hint: &'static str },
    #[error(
        "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset in \
         Complete output mode"
    )]
    Sort,
    #[error("Limits are not supported on streaming DataFrames/Datasets in Update output mode")]
    LimitInUpdate,
    #[error(
        "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using \
         approx_count_distinct() instead."
    )]
    DistinctAggregate,
    #[error(
        "[NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING] Window function is not supported in {0} on streaming \
         DataFrames/Datasets. Structured Streaming only supports time-window aggregation using the WINDOW function. \
         SQLSTATE: 42KDE"
    )]
    Window(String),
    #[error(
        "Detected pattern of possible 'correctness' issue due to global watermark. The query contains stateful operation \
         which can emit rows older than the current watermark plus allowed late record delay, which are \"late rows\" in \
         downstream stateful operations and these rows can be discarded. Choose --output-mode append, with a watermark"
    )]
    SeveralStateful,
    #[error(transparent)]
    Join(#[from] UnsupportedJoin),
    #[error("Union between streaming and batch DataFrames/Datasets is not supported")]
    Union,
    #[error("Offset is not supported on streaming DataFrames/Datasets")]
    Offset,
    #[error(
        "[INVALID_SUBQUERY_EXPRESSION.STREAMING_QUERY] Invalid subquery: Streaming query is not allowed in subquery \
         expressions. SQLSTATE: 42823"
    )]
    Subquery,
}

impl FromStr for OutputMode {
    type Err = UnsupportedQuery;

    fn from_str(text: &str) -> Result<OutputMode, UnsupportedQuery> {
        match text.to_lowercase().as_str() {
            "append" => Ok(OutputMode::Append),
            "complete" => Ok(OutputMode::Complete),
            "update" => Ok(OutputMode::Update),
            _ => Err(UnsupportedQuery::InvalidMode(text.to_owned())),
        }
    }
}

impl fmt::Display for OutputMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutputMode::Append => "append",
            OutputMode::Complete => "complete",
            OutputMode::Update => "update",
        })
    }
}

/// Refuses a plan that Spark refuses, or that is not served.
pub fn check(plan: &LogicalPlan, mode: OutputMode) -> Result<(), UnsupportedQuery> {
    let mut seen = Operators::default();
    let mut refused = Ok(());
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        let visited = seen.visit(node, mode);
        if refused.is_ok() {
            refused = visited;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // These have an aggregation only in DataFusion's plan.
    if let Err(UnsupportedQuery::Join(UnsupportedJoin::Except | UnsupportedJoin::Intersect)) = refused {
        return refused;
    }
    match (mode, seen.aggregates) {
        (OutputMode::Append, 1..) if seen.without_watermark => Err(UnsupportedQuery::Mode {
            mode,
            operation: "streaming aggregations without watermark",
            hint: ". Choose --output-mode complete or --output-mode update",
        }),
        (OutputMode::Update, 1..) if seen.sessions => {
            Err(UnsupportedQuery::Mode { mode, operation: "session window streaming aggregations", hint: "" })
        }
        (OutputMode::Complete, 0) => Err(UnsupportedQuery::Mode {
            mode,
            operation: "no streaming aggregations",
            hint: ". Choose --output-mode append or --output-mode update",
        }),
        _ => refused.and_then(|()| check_chain(plan, mode)),
    }
}

fn window_functions(window: &Window) -> UnsupportedQuery {
    let functions = window.window_expr.iter().map(ToString::to_string);
    UnsupportedQuery::Window(functions.collect::<Vec<_>>().join(", "))
}

/// Refuses window functions, which are refused in every mode.
pub(crate) fn refuse_window_functions(plan: &LogicalPlan) -> Result<(), UnsupportedQuery> {
    let mut refused = Ok(());
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let (LogicalPlan::Window(window), true) = (node, refused.is_ok()) {
            refused = Err(window_functions(window));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    refused
}

/// Only in append mode is what an aggregation gives out final, and can go into another stateful operator.
fn check_chain(plan: &LogicalPlan, mode: OutputMode) -> Result<(), UnsupportedQuery> {
    if mode == OutputMode::Append {
        return Ok(());
    }
    let below = |node: &LogicalPlan| node.inputs().into_iter().any(aggregates_stream);
    if has(plan, |node| is_stateful(node) && below(node)) {
        return Err(UnsupportedQuery::SeveralStateful);
    }
    Ok(())
}

/// Whether the plan has an aggregation of a stream.
pub(crate) fn aggregates_stream(plan: &LogicalPlan) -> bool {
    has(plan, is_aggregation)
}

fn has(plan: &LogicalPlan, is_it: impl Fn(&LogicalPlan) -> bool) -> bool {
    // The predicate never fails, so neither does the walk.
    plan.exists(|node| Ok(is_it(node))).unwrap_or_default()
}

fn is_aggregation(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)) && is_streaming(node)
}

fn is_stateful(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Join(join) => is_streaming(&join.left) && is_streaming(&join.right),
        LogicalPlan::Extension(extension) => {
            extension.node.as_any().downcast_ref::<Deduplicate>().is_some_and(Deduplicate::is_bounded)
        }
        node => is_aggregation(node),
    }
}

#[derive(Default)]
struct Operators {
    aggregates: usize,
    without_watermark: bool,
    sessions: bool,
    sorted: bool,
}

impl Operators {
    /// Nodes come from the result down to the streams.
    fn visit(&mut self, node: &LogicalPlan, mode: OutputMode) -> Result<(), UnsupportedQuery> {
        if !is_streaming(node) {
            return Ok(());
        }
        match node {
            LogicalPlan::Aggregate(aggregate) => {
                self.aggregates += 1;
                self.without_watermark |= !has_event_time(aggregate);
                self.sessions |= groups(aggregate).any(is_session);
                refuse_distinct(aggregate)
            }
            LogicalPlan::Distinct(distinct) => {
                self.aggregates += 1;
                let fields = distinct.input().schema().fields();
                self.without_watermark |= EventTimeKey::find(fields.iter().map(AsRef::as_ref)).is_none();
                Ok(())
            }
            LogicalPlan::Sort(_) if mode == OutputMode::Complete && self.aggregates == 0 => {
                self.sorted = true;
                Ok(())
            }
            LogicalPlan::Sort(_) => Err(UnsupportedQuery::Sort),
            LogicalPlan::Limit(limit) if limit.skip.is_some() => Err(UnsupportedQuery::Offset),
            LogicalPlan::Limit(_) if mode == OutputMode::Update => Err(UnsupportedQuery::LimitInUpdate),
            LogicalPlan::Window(window) => Err(window_functions(window)),
            LogicalPlan::Join(join) => Ok(stream_join::check::check(join, mode)?),
            LogicalPlan::Union(union) if !union.inputs.iter().all(|input| is_streaming(input)) => {
                Err(UnsupportedQuery::Union)
            }
            LogicalPlan::Subquery(_) => Err(UnsupportedQuery::Subquery),
            LogicalPlan::TableScan(_) if self.aggregates == 0 && self.sorted => Err(UnsupportedQuery::Sort),
            _ => Ok(()),
        }
    }
}

/// Whether the watermark tells when a group is done with.
fn has_event_time(aggregate: &Aggregate) -> bool {
    EventTimeKey::find(groups(aggregate)).is_some()
}

fn groups(aggregate: &Aggregate) -> impl Iterator<Item = &Field> {
    aggregate.schema.fields().iter().take(aggregate.group_expr.len()).map(AsRef::as_ref)
}

fn refuse_distinct(aggregate: &Aggregate) -> Result<(), UnsupportedQuery> {
    let distinct = aggregate.aggr_expr.iter().any(|expr| {
        let inner = match expr {
            Expr::Alias(alias) => alias.expr.as_ref(),
            other => other,
        };
        matches!(inner, Expr::AggregateFunction(function) if function.params.distinct)
    });
    if distinct { Err(UnsupportedQuery::DistinctAggregate) } else { Ok(()) }
}
