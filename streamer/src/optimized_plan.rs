//! A query's logical plan as DataFusion has optimized it: once for all batches, unless their time is a part of it.

use std::borrow::Cow;
use std::sync::OnceLock;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

pub(crate) struct OptimizedPlan {
    /// As it was written.
    plan: LogicalPlan,
    depends_on_time: bool,
    once: OnceLock<LogicalPlan>,
}

impl OptimizedPlan {
    pub(crate) fn new(plan: LogicalPlan) -> OptimizedPlan {
        // A plan that cannot be walked will not be optimized either, and tells why each time.
        let depends_on_time = depends_on_time(&plan).unwrap_or(true);
        OptimizedPlan { plan, depends_on_time, once: OnceLock::new() }
    }

    /// For the batch whose time the session has.
    pub(crate) fn of_batch(&self, session: &SessionState) -> Result<Cow<'_, LogicalPlan>> {
        if self.depends_on_time {
            return session.optimize(&self.plan).map(Cow::Owned);
        }
        if let Some(optimized) = self.once.get() {
            return Ok(Cow::Borrowed(optimized));
        }
        let optimized = session.optimize(&self.plan)?;
        Ok(Cow::Borrowed(self.once.get_or_init(|| optimized)))
    }
}

/// Whether a function in the plan has another value in each batch, such as `current_timestamp`: the optimizer puts that
/// value into the plan.
fn depends_on_time(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found |= expression.exists(|part| Ok(is_stable_function(part)))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

fn is_stable_function(expression: &Expr) -> bool {
    match expression {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Stable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::context::SessionContext;

    use super::*;

    async fn plan(sql: &str) -> (SessionState, OptimizedPlan) {
        let context = SessionContext::new();
        let plan = context.sql(sql).await.unwrap().into_unoptimized_plan();
        (context.state(), OptimizedPlan::new(plan))
    }

    #[tokio::test]
    async fn a_plan_without_the_time_is_optimized_once() {
        let (session, plan) =
            plan("SELECT a + 1 FROM (VALUES (1)) AS t (a) WHERE a > 0 AND random() > 0").await;
        let [first, second] = [(); 2].map(|()| plan.of_batch(&session).unwrap());
        assert!(
            matches!((first, second), (Cow::Borrowed(first), Cow::Borrowed(second)) if std::ptr::eq(first, second))
        );
    }

    #[tokio::test]
    async fn a_plan_with_the_time_is_optimized_for_each_batch() {
        let subquery = "SELECT a FROM (VALUES (1)) AS t (a) WHERE a IN (SELECT CAST(now() AS BIGINT))";
        for sql in ["SELECT now()", subquery] {
            assert!(plan(sql).await.1.depends_on_time, "{sql}");
        }
    }
}
