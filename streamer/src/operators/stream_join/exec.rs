//! The physical node of a join of two streams.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::JoinType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};

use super::JoinSpec;
use super::run::JoinRun;
use crate::operators::incremental::StatefulNode;
use crate::output_mode::OutputMode;
use crate::plan_node::with_new_children;

/// Batches that the join may be ahead of whoever takes them.
const AHEAD: usize = 2;

#[derive(Debug)]
pub(crate) struct StreamJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    spec: Arc<JoinSpec>,
    id: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl StreamJoinExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        spec: Arc<JoinSpec>,
        id: Option<usize>,
    ) -> StreamJoinExec {
        let schema = output_schema(&left.schema(), &right.schema(), &spec);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Both,
            Boundedness::Bounded,
        );
        StreamJoinExec { left, right, spec, id, properties: Arc::new(properties) }
    }
}

fn output_schema(left: &SchemaRef, right: &SchemaRef, spec: &JoinSpec) -> SchemaRef {
    if spec.join_type == JoinType::LeftSemi {
        return left.clone();
    }
    // What the other side may be without, can be null here.
    let fields = |schema: &SchemaRef, nullable: bool| -> Vec<_> {
        let fields = schema.fields().iter();
        fields.map(|field| Field::clone(field).with_nullable(field.is_nullable() || nullable)).collect()
    };
    let fields = [fields(left, spec.right.outer), fields(right, spec.left.outer)].concat();
    let metadata = left.metadata().clone().into_iter().chain(right.metadata().clone());
    Arc::new(Schema::new_with_metadata(fields, metadata.collect()))
}

impl StatefulNode for StreamJoinExec {
    fn operator_name(&self) -> &'static str {
        "symmetricHashJoin"
    }

    fn waits_for_watermark(&self, _: OutputMode) -> bool {
        self.spec.left.eviction.is_some() || self.spec.right.eviction.is_some()
    }

    /// Neither side gives out rows of a time before its state's watermark.
    fn output_watermark_ms(&self, input_ms: i64) -> i64 {
        let evictions = [&self.spec.left.eviction, &self.spec.right.eviction].into_iter().flatten();
        evictions.map(|eviction| eviction.until_ms(input_ms)).fold(input_ms, i64::min)
    }

    fn numbered(&self, id: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let (left, right, spec) = (self.left.clone(), self.right.clone(), self.spec.clone());
        Ok(Arc::new(StreamJoinExec::new(left, right, spec, Some(id))))
    }
}

impl DisplayAs for StreamJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.spec.left.keys.iter().zip(&self.spec.right.keys);
        let keys: Vec<_> = keys.map(|(left, right)| format!("{left} = {right}")).collect();
        write!(f, "StreamJoinExec: {}, on=[{}]", self.spec.join_type, keys.join(", "))
    }
}

impl ExecutionPlan for StreamJoinExec {
    fn name(&self) -> &'static str {
        "StreamJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for key in self.spec.left.keys.iter().chain(&self.spec.right.keys) {
            if f(key)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [left, right] = <[_; 2]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a join has two children".to_owned()))?;
        Ok(Arc::new(StreamJoinExec::new(left, right, self.spec.clone(), self.id)))
    }

    with_new_children!();

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut output = RecordBatchReceiverStream::builder(self.schema(), AHEAD);
        let run = JoinRun {
            spec: self.spec.clone(),
            left: self.left.clone(),
            right: self.right.clone(),
            schema: self.schema(),
            id: self.id,
        };
        let sender = output.tx();
        output.spawn(run.run(context, sender));
        Ok(output.build())
    }
}
