//! Which columns make a record: value, key, topic, headers and partition. Spark's `KafkaWriter`.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, ListArray, RecordBatch, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use datafusion::arrow::error::ArrowError;

use super::error::KafkaSinkError;
use crate::format::type_name;

/// Places in the schema.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    value: usize,
    key: Option<usize>,
    /// `None` where an option names the topic.
    topic: Option<usize>,
    headers: Option<usize>,
    partition: Option<usize>,
}

impl Columns {
    pub(super) fn find(schema: &Schema, has_topic_option: bool) -> Result<Columns, KafkaSinkError> {
        let topic = match (has_topic_option, column(schema, "topic")) {
            (true, _) => None,
            (false, None) => return Err(KafkaSinkError::NoTopic),
            (false, Some(topic)) => Some(typed(schema, "topic", topic, "string", is_text)?),
        };
        let bytes = |name, index| typed(schema, name, index, "string or binary", is_bytes);
        let key = column(schema, "key").map(|index| bytes("key", index)).transpose()?;
        let value = bytes("value", column(schema, "value").ok_or(KafkaSinkError::NoValue)?)?;
        let headers = column(schema, "headers")
            .map(|index| {
                typed(schema, "headers", index, "array<struct<key:string,value:binary>>", is_headers)
            })
            .transpose()?;
        let partition = column(schema, "partition")
            .map(|index| typed(schema, "partition", index, "int", |found| *found == DataType::Int32))
            .transpose()?;
        Ok(Columns { value, key, topic, headers, partition })
    }

    /// The records of a batch of rows.
    pub(super) fn records(&self, batch: &RecordBatch) -> Result<Records, ArrowError> {
        let headers_type = || DataType::List(Arc::new(Field::new("item", header_type(), true)));
        let column = |index: usize, to: &DataType| cast(batch.column(index), to);
        let optional = |index: Option<usize>, to: &DataType| index.map(|index| column(index, to)).transpose();
        let binary = |array: ArrayRef| array.as_binary::<i32>().clone();
        Ok(Records {
            value: binary(column(self.value, &DataType::Binary)?),
            key: optional(self.key, &DataType::Binary)?.map(binary),
            topic: optional(self.topic, &DataType::Utf8)?.map(|array| array.as_string::<i32>().clone()),
            headers: optional(self.headers, &headers_type())?.map(|array| array.as_list::<i32>().clone()),
            partition: optional(self.partition, &DataType::Int32)?
                .map(|array| array.as_primitive::<Int32Type>().clone()),
        })
    }
}

/// The parts of records, by row.
pub(super) struct Records {
    value: BinaryArray,
    key: Option<BinaryArray>,
    topic: Option<StringArray>,
    headers: Option<ListArray>,
    partition: Option<Int32Array>,
}

/// A header's key and value.
pub(super) type Header<'a> = (&'a [u8], Option<&'a [u8]>);

impl Records {
    pub(super) fn value(&self, row: usize) -> Option<&[u8]> {
        self.value.is_valid(row).then(|| self.value.value(row))
    }

    pub(super) fn key(&self, row: usize) -> Option<&[u8]> {
        let key = self.key.as_ref().filter(|key| key.is_valid(row))?;
        Some(key.value(row))
    }

    /// `None` without a topic column.
    pub(super) fn topic(&self, row: usize) -> Option<Result<&str, KafkaSinkError>> {
        let topic = self.topic.as_ref()?;
        Some(if topic.is_valid(row) { Ok(topic.value(row)) } else { Err(KafkaSinkError::NullTopic) })
    }

    pub(super) fn partition(&self, row: usize) -> Option<i32> {
        let partition = self.partition.as_ref().filter(|partition| partition.is_valid(row))?;
        Some(partition.value(row))
    }

    /// Puts the headers of a row into `headers`.
    pub(super) fn headers<'a>(
        &'a self,
        row: usize,
        headers: &mut Vec<Header<'a>>,
    ) -> Result<(), KafkaSinkError> {
        headers.clear();
        let Some(lists) = self.headers.as_ref().filter(|lists| lists.is_valid(row)) else {
            return Ok(());
        };
        let pairs = lists.values().as_struct();
        let (keys, values) = (pairs.column(0).as_string::<i32>(), pairs.column(1).as_binary::<i32>());
        let start = lists.offsets().get(row).copied().unwrap_or_default();
        for index in start..start + lists.value_length(row) {
            let index = usize::try_from(index).unwrap_or_default();
            if pairs.is_null(index) || keys.is_null(index) {
                return Err(KafkaSinkError::NullHeaderKey { row });
            }
            let value = values.is_valid(index).then(|| values.value(index));
            headers.push((keys.value(index).as_bytes(), value));
        }
        Ok(())
    }
}

fn column(schema: &Schema, name: &str) -> Option<usize> {
    schema.fields().iter().position(|field| field.name() == name)
}

fn typed(
    schema: &Schema,
    column: &'static str,
    index: usize,
    expected: &'static str,
    fits: impl Fn(&DataType) -> bool,
) -> Result<usize, KafkaSinkError> {
    let data_type = schema.field(index).data_type();
    if fits(data_type) {
        return Ok(index);
    }
    // Spark's `catalogString`.
    let data_type = type_name::sql(data_type).replace(": ", ":").to_lowercase();
    Err(KafkaSinkError::ColumnType { column, data_type, expected })
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(data_type: &DataType) -> bool {
    is_text(data_type) || matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_headers(data_type: &DataType) -> bool {
    let (DataType::List(element) | DataType::LargeList(element)) = data_type else {
        return false;
    };
    match element.data_type() {
        DataType::Struct(fields) => match fields.as_ref() {
            [key, value] => {
                is_text(key.data_type()) && is_bytes(value.data_type()) && !is_text(value.data_type())
            }
            _ => false,
        },
        _ => false,
    }
}

fn header_type() -> DataType {
    let key = Field::new("key", DataType::Utf8, true);
    DataType::Struct(Fields::from(vec![key, Field::new("value", DataType::Binary, true)]))
}
