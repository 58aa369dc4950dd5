//! Columns in the layouts that Spark reads and databases take: timestamps in microseconds, no unsigned integers, one layout of
//! text.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

pub(super) fn schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(fields(schema.fields())))
}

/// The batch with its columns as `schema` has them.
pub(super) fn cast(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<_>, _> =
        columns.map(|(column, field)| compute::cast(column, field.data_type())).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns?, &rows)
}

fn fields(fields: &Fields) -> Fields {
    fields.iter().map(|field| inner(field)).collect()
}

/// Every column of Spark's files may be null.
fn inner(field: &Field) -> Arc<Field> {
    Arc::new(Field::new(field.name(), data_type(field.data_type()), true))
}

fn data_type(of: &DataType) -> DataType {
    match of {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Dictionary(_, value) => data_type(value),
        DataType::List(element) | DataType::LargeList(element) | DataType::ListView(element) => {
            DataType::List(inner(element))
        }
        DataType::Struct(inner) => DataType::Struct(fields(inner)),
        DataType::Map(entries, sorted) => DataType::Map(map_entries(entries), *sorted),
        other => other.clone(),
    }
}

/// Entries and keys are never null.
fn map_entries(entries: &Field) -> Arc<Field> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Arc::new(entries.clone());
    };
    let pair: Fields = pair
        .iter()
        .enumerate()
        .map(|(index, field)| Arc::new(inner(field).as_ref().clone().with_nullable(index > 0)))
        .collect();
    Arc::new(Field::new(entries.name(), DataType::Struct(pair), false))
}
