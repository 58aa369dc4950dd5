//! The partitions of a result, worked on side by side: as one stream in their order, or each by itself.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::error::DataFusionError;
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

/// Has each partition worked on by a task of its own, and returns what they made, in the partitions' order. The first
/// error ends the others.
pub(crate) async fn side_by_side<T, E, F>(
    partitions: Vec<SendableRecordBatchStream>,
    work: impl Fn(usize, SendableRecordBatchStream) -> F,
) -> Result<Vec<T>, E>
where
    T: Send + 'static,
    E: From<DataFusionError> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (index, partition) in partitions.into_iter().enumerate() {
        let work = work(index, partition);
        tasks.spawn(async move { work.await.map(|made| (index, made)) });
    }
    let mut made = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(outcome) => made.push(outcome?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(DataFusionError::External(Box::new(error)).into()),
        }
    }
    made.sort_by_key(|(index, _)| *index);
    Ok(made.into_iter().map(|(_, made)| made).collect())
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
