//! From the logical nodes of streams to their physical ones.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::dedup::Deduplicate;
use super::joins::plan_joins;
use super::limit::StreamingLimit;
use super::stream_join::StreamJoin;
use super::watermark::EventTimeWatermark;
use crate::functions::json::prune_json;

/// DataFusion's planner, which knows our nodes as well.
#[derive(Debug)]
pub(crate) struct StreamingQueryPlanner;

#[async_trait]
impl QueryPlanner for StreamingQueryPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(StreamingNodes)]);
        let plan = plan_joins(prune_json(plan.clone())?)?;
        planner.create_physical_plan(&plan, session).await
    }
}

struct StreamingNodes;

#[async_trait]
impl ExtensionPlanner for StreamingNodes {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let (Some(join), [left, right]) = (node.as_any().downcast_ref::<StreamJoin>(), physical_inputs) {
            let inputs = [left.clone(), right.clone()];
            return Ok(Some(Arc::new(join.physical(inputs, planner, session, context)?)));
        }
        let Some(input) = physical_inputs.first() else {
            return Ok(None);
        };
        if let Some(watermark) = node.as_any().downcast_ref::<EventTimeWatermark>() {
            return Ok(Some(Arc::new(watermark.physical(input.clone())?)));
        }
        if let Some(dedup) = node.as_any().downcast_ref::<Deduplicate>() {
            return Ok(Some(Arc::new(dedup.physical(input.clone())?)));
        }
        if let Some(limit) = node.as_any().downcast_ref::<StreamingLimit>() {
            return Ok(Some(Arc::new(limit.physical(input.clone()))));
        }
        Ok(None)
    }
}
