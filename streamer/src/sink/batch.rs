//! The rows of one micro-batch on their way into a sink.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::SinkError;
use crate::output_mode::OutputMode;
use crate::rows;

pub struct SinkBatch {
    pub id: u64,
    pub output_mode: OutputMode,
    /// The result's columns under the names that the user gave them, which may repeat.
    pub schema: SchemaRef,
    /// The rows, with their columns in the schema's order, under names that do not count. Partitions may be drained side
    /// by side; the rows within one are in order.
    pub partitions: Vec<SendableRecordBatchStream>,
    /// JSON of each source's end offset, as in `offsets/N`.
    pub end_offsets: Vec<Option<String>>,
}

impl SinkBatch {
    pub fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Computes all rows and drops them, for a sink that has the batch already. Returns 0, as many as are written.
    pub async fn drain(self) -> Result<u64, SinkError> {
        rows::side_by_side(self.partitions, |_, partition| drain(partition)).await?;
        Ok(0)
    }

    /// All rows as one stream, partition after partition, which are worked on side by side all the same.
    pub fn in_order(self) -> SendableRecordBatchStream {
        rows::in_order(self.schema, self.partitions)
    }
}

async fn drain(mut partition: SendableRecordBatchStream) -> Result<(), SinkError> {
    while partition.try_next().await?.is_some() {}
    Ok(())
}
