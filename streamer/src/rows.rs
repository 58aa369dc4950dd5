//! The partitions of a result as one stream: worked on side by side, handed on in order.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

/// Batches that a partition may be ahead of its turn.
const AHEAD: usize = 2;

pub(crate) fn in_order(
    schema: SchemaRef,
    partitions: Vec<SendableRecordBatchStream>,
) -> SendableRecordBatchStream {
    let started: Vec<_> = partitions.into_iter().map(start).collect();
    let rows = stream::iter(started).flat_map(|(receiver, task)| {
        stream::unfold((receiver, task), |(mut receiver, task)| async move {
            receiver.recv().await.map(|batch| (batch, (receiver, task)))
        })
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

type Batches = mpsc::Receiver<datafusion::error::Result<datafusion::arrow::array::RecordBatch>>;

/// The task ends with whoever holds it.
fn start(mut partition: SendableRecordBatchStream) -> (Batches, SpawnedTask<()>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let task = SpawnedTask::spawn(async move {
        while let Some(batch) = partition.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    });
    (receiver, task)
}
