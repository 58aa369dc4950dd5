//! Where late rows go: into a sink of their own, as JSON beside what it takes to understand them.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::format::json::JsonFormat;
use crate::output_mode::OutputMode;
use crate::progress::iso_timestamp;
use crate::sink::{Sink, SinkBatch, SinkError};

/// The sink of a query's late rows. It is written before the batch is committed: at least once, or exactly once where
/// the sink is.
pub struct LateRows {
    sink: Box<dyn Sink>,
    format: JsonFormat,
}

/// One column, so that every sink takes it: a topic's value, a line of a file.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("value", DataType::Utf8, false)]))
}

impl LateRows {
    /// The sink takes rows of [`schema`].
    pub fn new(sink: Box<dyn Sink>, time_zone: Tz) -> LateRows {
        LateRows { sink, format: JsonFormat::new(time_zone) }
    }

    pub(crate) async fn write(
        &mut self,
        batch_id: u64,
        late_ms: i64,
        rows: &[RecordBatch],
        end_offsets: Vec<Option<String>>,
    ) -> Result<(), SinkError> {
        let rows = self.rows(batch_id, late_ms, rows)?;
        let partition = RecordBatchStreamAdapter::new(schema(), stream::iter([Ok(rows)]));
        let batch = SinkBatch {
            id: batch_id,
            output_mode: OutputMode::Append,
            schema: schema(),
            partitions: vec![Box::pin(partition)],
            end_offsets,
        };
        self.sink.write_batch(batch).await.map(drop)
    }

    /// `{"batchId":3,"watermark":"…","row":{…}}`
    fn rows(&self, batch_id: u64, late_ms: i64, rows: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let watermark = iso_timestamp(late_ms);
        let mut values = Vec::new();
        for batch in rows {
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let mut value = format!("{{\"batchId\":{batch_id},\"watermark\":\"{watermark}\",\"row\":");
                let names = schema.fields().iter().map(|field| field.name().as_str());
                self.format.write_row(&mut value, names, batch.columns(), row)?;
                value.push('}');
                values.push(value);
            }
        }
        RecordBatch::try_new(schema(), vec![Arc::new(StringArray::from(values))])
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array};

    use super::*;
    use crate::sink::NoopSink;

    #[test]
    fn a_late_row_comes_with_its_batch_and_the_watermark_that_passed_it() {
        let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, true)]));
        let row = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![7]))]).unwrap();
        let late = LateRows::new(Box::new(NoopSink), "UTC".parse().unwrap());
        let rows = late.rows(3, 15_000, &[row]).unwrap();
        assert_eq!(
            rows.column(0).as_string::<i32>().value(0),
            r#"{"batchId":3,"watermark":"1970-01-01T00:00:15.000Z","row":{"v":7}}"#
        );
    }
}
