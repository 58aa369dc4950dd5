//! Which rows of the result a batch gives to the sink, and which queries have such rows at all.
//! Spark's `UnsupportedOperationChecker`.

use std::fmt;
use std::str::FromStr;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use thiserror::Error;

use crate::operators::event_time::{EventTimeKey, is_session};

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
    #[error("{0} on a stream is not served by Ottla yet")]
    NotServed(&'static str),
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
        refused = seen.visit(node, mode);
        Ok(if refused.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    refused?;
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
        (OutputMode::Update | OutputMode::Complete, 2..) => Err(UnsupportedQuery::SeveralStateful),
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Operators {
    aggregates: usize,
    without_watermark: bool,
    sessions: bool,
    sorted: bool,
    limited: bool,
}

impl Operators {
    /// Nodes come from the result down to the streams.
    fn visit(&mut self, node: &LogicalPlan, mode: OutputMode) -> Result<(), UnsupportedQuery> {
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
            LogicalPlan::Limit(_) if mode == OutputMode::Update => Err(UnsupportedQuery::LimitInUpdate),
            LogicalPlan::Limit(_) if mode == OutputMode::Complete && self.aggregates == 0 => {
                self.limited = true;
                Ok(())
            }
            LogicalPlan::Limit(_) => Err(UnsupportedQuery::NotServed("LIMIT")),
            LogicalPlan::Window(window) => {
                let functions = window.window_expr.iter().map(ToString::to_string);
                Err(UnsupportedQuery::Window(functions.collect::<Vec<_>>().join(", ")))
            }
            LogicalPlan::Join(_) => Err(UnsupportedQuery::NotServed("JOIN")),
            LogicalPlan::Subquery(_) => Err(UnsupportedQuery::NotServed("a subquery in an expression")),
            LogicalPlan::TableScan(_) if self.aggregates == 0 && self.sorted => Err(UnsupportedQuery::Sort),
            LogicalPlan::TableScan(_) if self.aggregates == 0 && self.limited => {
                Err(UnsupportedQuery::NotServed("LIMIT"))
            }
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
