//! The fixed schema of a Kafka source. Spark's `KafkaRecordToRowConverter`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The columns, in the order of [`schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Key,
    Value,
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampType,
    Headers,
}

impl Column {
    pub const ALL: [Column; 8] = [
        Column::Key,
        Column::Value,
        Column::Topic,
        Column::Partition,
        Column::Offset,
        Column::Timestamp,
        Column::TimestampType,
        Column::Headers,
    ];
}

/// A column's name as Spark writes it. In plans all names are in lower case, for Spark does not tell cases apart.
pub fn written_name(planned: &str) -> &str {
    if planned == TIMESTAMP_TYPE { "timestampType" } else { planned }
}

const TIMESTAMP_TYPE: &str = "timestamptype";

/// `headers` is there only with the option `includeHeaders`.
pub fn schema(include_headers: bool, time_zone: &str) -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into()));
    let mut fields = vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("timestamp", timestamp, true),
        Field::new(TIMESTAMP_TYPE, DataType::Int32, true),
    ];
    if include_headers {
        let header = Field::new("element", DataType::Struct(header_fields()), true);
        fields.push(Field::new("headers", DataType::List(Arc::new(header)), true));
    }
    Arc::new(Schema::new(fields))
}

pub(super) fn header_fields() -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Binary, true)])
}
