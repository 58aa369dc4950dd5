//! Rows as JSON lines into a stream.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;

use super::TestKitError;
use crate::source::MemoryStream;

/// A stream that the test writes to. All handles are of the same stream; what was pushed stays, so that every query over
/// it begins with its first row.
#[derive(Clone, Debug)]
pub struct TestStream {
    rows: MemoryStream,
}

impl TestStream {
    pub(super) fn new(rows: MemoryStream) -> TestStream {
        TestStream { rows }
    }

    /// Rows as JSON objects with the stream's columns; one that is not there is null. A time is a text such as
    /// `2026-01-31T10:00:00Z`.
    pub fn push(&self, rows: &[&str]) -> Result<(), TestKitError> {
        let schema = self.rows.schema().clone();
        let reader = ReaderBuilder::new(schema.clone()).build(Cursor::new(rows.join("\n")));
        let batches = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let batches = batches.map_err(TestKitError::Row)?;
        let rows =
            datafusion::arrow::compute::concat_batches(&schema, &batches).map_err(TestKitError::Row)?;
        self.push_batch(&rows)
    }

    pub fn push_batch(&self, rows: &RecordBatch) -> Result<(), TestKitError> {
        Ok(self.rows.add(rows)?)
    }
}

/// Columns as in `CREATE TABLE`.
pub(super) fn schema(columns: &str) -> Result<SchemaRef, TestKitError> {
    let failed = |reason: String| TestKitError::Schema { schema: columns.to_owned(), reason };
    let fields = crate::schema::parse_columns(columns, "UTC").map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(Schema::new(fields)))
}
