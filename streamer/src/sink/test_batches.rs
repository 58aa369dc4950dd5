//! Batches and contexts for the tests of sinks.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::stream;

use super::{SinkBatch, SinkContext};
use crate::output_mode::OutputMode;

pub(super) type Row = (&'static str, i64);

/// Columns `word` and `n`.
pub(super) fn schema() -> SchemaRef {
    let word = Field::new("word", DataType::Utf8, true);
    Arc::new(Schema::new(vec![word, Field::new("n", DataType::Int64, true)]))
}

pub(super) fn record_batch(rows: &[Row]) -> RecordBatch {
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(word, _)| word)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, n)| *n)));
    RecordBatch::try_new(schema(), vec![words, numbers]).unwrap()
}

pub(super) fn stream_of(batch: RecordBatch) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(batch.schema(), stream::iter([Ok(batch)])))
}

/// A partition per item.
pub(super) fn batch(id: u64, partitions: &[&[Row]]) -> SinkBatch {
    let partitions = partitions.iter().map(|rows| stream_of(record_batch(rows))).collect();
    of(id, schema(), partitions)
}

pub(super) fn of(id: u64, schema: SchemaRef, partitions: Vec<SendableRecordBatchStream>) -> SinkBatch {
    SinkBatch { id, output_mode: OutputMode::Append, schema, partitions, end_offsets: Vec::new() }
}

/// A batch whose rows end in an error.
pub(super) fn broken_batch(id: u64, rows: &[Row]) -> SinkBatch {
    let failure = || Err(DataFusionError::Execution("no more rows".to_owned()));
    let items = [Ok(record_batch(rows)), failure()];
    of(id, schema(), vec![Box::pin(RecordBatchStreamAdapter::new(schema(), stream::iter(items)))])
}

pub(super) fn context(checkpoint: &Path, schema: SchemaRef) -> SinkContext {
    SinkContext {
        query_id: "6d1d7bb5-1b2b-4b7c-8f43-f2b9e7a6a1c4".to_owned(),
        query_name: None,
        checkpoint: checkpoint.to_owned(),
        time_zone: "Europe/Berlin".parse().unwrap(),
        bootstrap_servers: "localhost:9092".to_owned(),
        partition_columns: Vec::new(),
        schema,
        session: SessionContext::new(),
    }
}
