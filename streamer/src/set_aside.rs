//! Rows that a query does not use, late or malformed, go into a sink of their own, as JSON beside what it takes to
//! understand them.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::format::json::{JsonFormat, write_string};
use crate::output_mode::OutputMode;
use crate::progress::iso_timestamp;
use crate::sink::{Sink, SinkBatch, SinkError};

/// The sink of a query's late or malformed rows. It is written before the batch is committed: at least once, or exactly
/// once where the sink is.
pub struct SetAside {
    sink: Box<dyn Sink>,
}

/// One column, so that every sink takes it: a topic's value, a line of a file.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("value", DataType::Utf8, false)]))
}

impl SetAside {
    /// The sink takes rows of [`schema`].
    pub fn new(sink: Box<dyn Sink>) -> SetAside {
        SetAside { sink }
    }

    pub(crate) async fn write(
        &mut self,
        batch_id: u64,
        values: Vec<String>,
        end_offsets: Vec<Option<String>>,
    ) -> Result<(), SinkError> {
        let rows = RecordBatch::try_new(schema(), vec![Arc::new(StringArray::from(values))])?;
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
}

/// `{"batchId":3,"watermark":"…","row":{…}}`
pub(crate) fn late_values(
    batch_id: u64,
    late_ms: i64,
    rows: &[RecordBatch],
    time_zone: Tz,
) -> Result<Vec<String>, ArrowError> {
    let (format, watermark) = (JsonFormat::new(time_zone), iso_timestamp(late_ms));
    let mut values = Vec::new();
    for batch in rows {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let mut value = format!("{{\"batchId\":{batch_id},\"watermark\":\"{watermark}\",\"row\":");
            let names = schema.fields().iter().map(|field| field.name().as_str());
            format.write_row(&mut value, names, batch.columns(), row)?;
            value.push('}');
            values.push(value);
        }
    }
    Ok(values)
}

/// `{"batchId":3,"record":"…"}`
pub(crate) fn malformed_values(batch_id: u64, records: &[String]) -> Vec<String> {
    let value = |record: &String| {
        let mut value = format!("{{\"batchId\":{batch_id},\"record\":");
        write_string(&mut value, record);
        value.push('}');
        value
    };
    records.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;

    use super::*;

    #[test]
    fn a_late_row_comes_with_its_batch_and_the_watermark_that_passed_it() {
        let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, true)]));
        let row = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![7]))]).unwrap();
        assert_eq!(
            late_values(3, 15_000, &[row], "UTC".parse().unwrap()).unwrap(),
            [r#"{"batchId":3,"watermark":"1970-01-01T00:00:15.000Z","row":{"v":7}}"#]
        );
    }

    #[test]
    fn a_malformed_row_is_its_text() {
        assert_eq!(malformed_values(3, &["{\"a".to_owned()]), [r#"{"batchId":3,"record":"{\"a"}"#]);
    }
}
