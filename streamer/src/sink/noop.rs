//! Spark's `noop` sink: computes all rows, and keeps none. For measuring.

use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::{Sink, SinkBatch, SinkError};
use crate::output_mode::OutputMode;
use crate::rows;

#[derive(Debug, Default)]
pub struct NoopSink;

#[async_trait]
impl Sink for NoopSink {
    fn description(&self) -> String {
        "NoopTable".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let counts = rows::side_by_side(batch.partitions, |_, partition| count(partition)).await?;
        Ok(counts.into_iter().sum())
    }
}

async fn count(mut partition: SendableRecordBatchStream) -> Result<u64, SinkError> {
    let mut rows = 0;
    while let Some(batch) = partition.try_next().await? {
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}
