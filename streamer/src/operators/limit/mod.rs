//! `LIMIT n` of a stream: the first `n` rows of all batches together. Spark's `StreamingGlobalLimitExec`.
//!
//! Above an aggregation in complete mode it is none of these: there each batch's result is limited for itself.

mod exec;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Extension, Limit, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;

use crate::output_mode::{OutputMode, aggregates_stream};
use crate::source::is_streaming;
pub(crate) use exec::LimitExec;

/// Gives state to the limits of rows that are only ever appended to.
pub(crate) fn plan_limits(plan: LogicalPlan, mode: OutputMode) -> Result<LogicalPlan> {
    let planned = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(Limit { skip: None, fetch: Some(fetch), input })
            if is_appended_to(&input, mode) =>
        {
            let node = StreamingLimit { rows: row_count(&fetch)?, input: Arc::unwrap_or_clone(input) };
            Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(planned.data)
}

fn is_appended_to(input: &LogicalPlan, mode: OutputMode) -> bool {
    is_streaming(input) && (mode == OutputMode::Append || !aggregates_stream(input))
}

fn row_count(fetch: &Expr) -> Result<u64> {
    let constant = ExprSimplifier::new(SimplifyContext::default()).simplify(fetch.clone())?;
    let count = match constant {
        Expr::Literal(count, _) => match count.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(count)) => u64::try_from(count).ok(),
            _ => None,
        },
        _ => None,
    };
    count.ok_or_else(|| {
        let message = format!("the LIMIT of a stream is a whole number that is not negative, not {fetch}");
        DataFusionError::Plan(message)
    })
}

/// The logical node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamingLimit {
    rows: u64,
    input: LogicalPlan,
}

impl StreamingLimit {
    pub(super) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> LimitExec {
        LimitExec::new(input, self.rows, None)
    }
}

impl PartialOrd for StreamingLimit {
    fn partial_cmp(&self, other: &StreamingLimit) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for StreamingLimit {
    fn name(&self) -> &'static str {
        "StreamingLimit"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// A filter below would let other rows be the first.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.input.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamingLimit: {}", self.rows)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<StreamingLimit> {
        let input = inputs.into_iter().next().unwrap_or_else(|| self.input.clone());
        Ok(StreamingLimit { rows: self.rows, input })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}
