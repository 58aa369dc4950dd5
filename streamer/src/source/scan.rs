//! The place of a stream in a physical plan: passes rows on and counts them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan_node::{only_child, with_new_children, without_expressions};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::StreamExt;

#[derive(Debug)]
pub(crate) struct StreamScanExec {
    rows: Arc<dyn ExecutionPlan>,
    rows_read: Arc<AtomicU64>,
}

impl StreamScanExec {
    pub(super) fn new(rows: Arc<dyn ExecutionPlan>, rows_read: Arc<AtomicU64>) -> StreamScanExec {
        StreamScanExec { rows, rows_read }
    }
}

/// Whether any row of this plan comes from a stream.
pub(crate) fn reads_stream(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let node: &dyn Any = plan.as_ref();
    node.is::<StreamScanExec>() || plan.children().into_iter().any(reads_stream)
}

impl DisplayAs for StreamScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamScanExec")
    }
}

impl ExecutionPlan for StreamScanExec {
    fn name(&self) -> &'static str {
        "StreamScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.rows.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.rows]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    without_expressions!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = only_child(children)?;
        Ok(Arc::new(StreamScanExec { rows, rows_read: self.rows_read.clone() }))
    }

    with_new_children!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows_read = self.rows_read.clone();
        let rows = self.rows.execute(partition, context)?.inspect(move |batch| {
            if let Ok(batch) = batch {
                rows_read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
