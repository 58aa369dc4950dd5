//! The rows of one micro-batch on their way into a sink.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;

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

    /// All rows as one stream, partition after partition, which are worked on side by side all the same.
    pub fn in_order(self) -> SendableRecordBatchStream {
        rows::in_order(self.schema, self.partitions)
    }
}
