//! Streams read to their end although whoever reads them has seen enough.
//!
//! A join with static data that has no row asks the stream for none. Its rows are to be counted all the same, move the
//! watermark, and reach the state below.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, TaskContext};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    SendableRecordBatchStream,
};
use futures::{Stream, StreamExt};

use super::context::BatchContext;
use crate::plan_node::{only_child, with_new_children, without_expressions};
use crate::source::reads_stream;

/// Has streams beside static data read to their end.
pub(super) fn read_to_the_end(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let planned = plan.transform_up(|node| {
        let streams: Vec<_> = node.children().into_iter().map(reads_stream).collect();
        if !streams.contains(&true) || !streams.contains(&false) {
            return Ok(Transformed::no(node));
        }
        let children = node.children().into_iter().zip(streams);
        let children = children.map(|(child, is_stream)| match is_stream {
            true => Arc::new(ReadToTheEndExec { input: child.clone() }) as Arc<dyn ExecutionPlan>,
            false => child.clone(),
        });
        let children = children.collect();
        datafusion::physical_plan::execution_plan::replace_children_if_necessary(node, children)
            .map(Transformed::yes)
    })?;
    Ok(planned.data)
}

/// Passes rows on; a stream that is dropped early is handed to the batch, which reads the rest.
#[derive(Debug)]
struct ReadToTheEndExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ReadToTheEndExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadToTheEndExec")
    }
}

impl ExecutionPlan for ReadToTheEndExec {
    fn name(&self) -> &'static str {
        "ReadToTheEndExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        Ok(Arc::new(ReadToTheEndExec { input: only_child(children)? }))
    }

    with_new_children!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch = BatchContext::of(&context)?;
        let rows = self.input.execute(partition, context)?;
        Ok(Box::pin(ReadToTheEnd { schema: rows.schema(), rows: Some(rows), batch }))
    }
}

struct ReadToTheEnd {
    schema: SchemaRef,
    /// `None` when they have ended.
    rows: Option<SendableRecordBatchStream>,
    batch: Arc<BatchContext>,
}

impl Stream for ReadToTheEnd {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let Some(rows) = &mut self.rows else {
            return Poll::Ready(None);
        };
        let polled = rows.poll_next_unpin(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.rows = None;
        }
        polled
    }
}

impl RecordBatchStream for ReadToTheEnd {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Drop for ReadToTheEnd {
    fn drop(&mut self) {
        if let Some(rows) = self.rows.take() {
            self.batch.read_later(rows);
        }
    }
}
