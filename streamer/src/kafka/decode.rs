//! Record batches straight into Arrow columns, and only into those that the query reads.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    RecordBatchOptions, StringArray, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::arrow::error::ArrowError;
use ottla_client::CommittedFilter;
use ottla_protocol::batch::{self, BatchError, Record, TimestampType};

use super::offsets::TopicPartition;
use super::schema::{Column, header_fields};

/// Rows and bytes after which a batch of rows is handed on.
const MAX_ROWS: usize = 8_192;
const MAX_BYTES: usize = 8 << 20;
/// What one compressed batch may grow to: far above any `max.message.bytes` in use.
const MAX_DECOMPRESSED_BYTES: usize = 256 << 20;

/// Turns the records of one partition into rows.
pub struct Decoder {
    partition: TopicPartition,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

/// What came of some fetched bytes.
#[derive(Debug)]
pub struct Decoded {
    pub batches: Vec<RecordBatch>,
    /// The offset after the last batch that was there, whether or not its records were wanted.
    pub next_offset: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("a record batch of {partition} cannot be read: {source}")]
    Batch { partition: TopicPartition, source: BatchError },
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl Decoder {
    /// `schema` holds exactly the fields of `columns`.
    pub fn new(partition: TopicPartition, schema: SchemaRef, columns: &[Column]) -> Decoder {
        let builders = columns.iter().zip(schema.fields());
        let columns =
            builders.map(|(column, field)| ColumnBuilder::new(*column, field.data_type())).collect();
        Decoder { partition, schema, columns, rows: 0, bytes: 0 }
    }

    /// Rows for the records with offsets in `range`. A batch cut off at the end of `fetched` is left out, as
    /// brokers send such; control batches have no rows, nor have those that `filter` keeps back.
    pub fn decode(
        &mut self,
        fetched: &Bytes,
        mut filter: CommittedFilter,
        range: Range<i64>,
    ) -> Result<Decoded, DecodeError> {
        let mut decoded = Decoded { batches: Vec::new(), next_offset: range.start };
        for batch in batch::batches(fetched) {
            let batch = match batch {
                Err(BatchError::HeaderCut { .. } | BatchError::Cut { .. }) => break,
                batch => batch.map_err(|source| self.unreadable(source))?,
            };
            if batch.base_offset() >= range.end {
                decoded.next_offset = range.end;
                break;
            }
            decoded.next_offset = decoded.next_offset.max(batch.header().next_offset());
            let is_read = filter.is_read(&batch).map_err(|source| self.unreadable(source))?;
            if is_read && batch.last_offset() >= range.start {
                self.push_batch(&batch, &range, &mut decoded.batches)?;
            }
        }
        decoded.batches.extend(self.flush()?);
        Ok(decoded)
    }

    fn push_batch(
        &mut self,
        batch: &batch::RecordBatch<'_>,
        range: &Range<i64>,
        rows: &mut Vec<RecordBatch>,
    ) -> Result<(), DecodeError> {
        let timestamp_type = batch.header().timestamp_type();
        let records = batch
            .verify_crc()
            .and_then(|()| batch.records(MAX_DECOMPRESSED_BYTES))
            .map_err(|source| self.unreadable(source))?;
        for record in &records {
            let record = record.map_err(|source| self.unreadable(source))?;
            if !range.contains(&record.offset) {
                continue;
            }
            for column in &mut self.columns {
                self.bytes += column.push(&record, timestamp_type);
            }
            self.rows += 1;
            if self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES {
                rows.extend(self.flush()?);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let columns = self.columns.iter_mut().map(|column| column.finish(&self.partition, rows)).collect();
        // The count is needed where no column is, as for `count(*)`.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        Ok(Some(batch))
    }

    fn unreadable(&self, source: BatchError) -> DecodeError {
        DecodeError::Batch { partition: self.partition.clone(), source }
    }
}

enum ColumnBuilder {
    Key(BinaryBuilder),
    Value(BinaryBuilder),
    Topic,
    Partition,
    Offset(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampType(Int32Builder),
    Headers(Box<ListBuilder<StructBuilder>>),
}

impl ColumnBuilder {
    fn new(column: Column, data_type: &DataType) -> ColumnBuilder {
        match column {
            Column::Key => ColumnBuilder::Key(BinaryBuilder::new()),
            Column::Value => ColumnBuilder::Value(BinaryBuilder::new()),
            Column::Topic => ColumnBuilder::Topic,
            Column::Partition => ColumnBuilder::Partition,
            Column::Offset => ColumnBuilder::Offset(Int64Builder::new()),
            Column::Timestamp => {
                let builder = TimestampMicrosecondBuilder::new();
                ColumnBuilder::Timestamp(builder.with_data_type(data_type.clone()))
            }
            Column::TimestampType => ColumnBuilder::TimestampType(Int32Builder::new()),
            Column::Headers => {
                let header = StructBuilder::from_fields(header_fields(), 0);
                let element = Field::new("element", DataType::Struct(header_fields()), true);
                let headers = ListBuilder::new(header).with_field(Arc::new(element));
                ColumnBuilder::Headers(Box::new(headers))
            }
        }
    }

    /// Returns the bytes that it added.
    fn push(&mut self, record: &Record<'_>, timestamp_type: TimestampType) -> usize {
        match self {
            ColumnBuilder::Key(keys) => push_bytes(keys, record.key),
            ColumnBuilder::Value(values) => push_bytes(values, record.value),
            ColumnBuilder::Topic | ColumnBuilder::Partition => 8,
            ColumnBuilder::Offset(offsets) => {
                offsets.append_value(record.offset);
                8
            }
            ColumnBuilder::Timestamp(timestamps) => {
                timestamps.append_value(record.timestamp.saturating_mul(1_000));
                8
            }
            ColumnBuilder::TimestampType(types) => {
                types.append_value(timestamp_type_id(timestamp_type));
                4
            }
            ColumnBuilder::Headers(headers) => push_headers(headers, record),
        }
    }

    fn finish(&mut self, partition: &TopicPartition, rows: usize) -> ArrayRef {
        match self {
            ColumnBuilder::Key(bytes) | ColumnBuilder::Value(bytes) => Arc::new(bytes.finish()),
            ColumnBuilder::Topic => {
                let topics = std::iter::repeat_n(&partition.topic, rows);
                Arc::new(StringArray::from_iter_values(topics))
            }
            ColumnBuilder::Partition => Arc::new(Int32Array::from_value(partition.partition, rows)),
            ColumnBuilder::Offset(offsets) => Arc::new(offsets.finish()),
            ColumnBuilder::Timestamp(timestamps) => Arc::new(timestamps.finish()),
            ColumnBuilder::TimestampType(types) => Arc::new(types.finish()),
            ColumnBuilder::Headers(headers) => Arc::new(headers.finish()),
        }
    }
}

fn push_bytes(builder: &mut BinaryBuilder, bytes: Option<&[u8]>) -> usize {
    builder.append_option(bytes);
    bytes.map_or(0, <[u8]>::len)
}

/// A record without headers has null, not an empty array.
fn push_headers(builder: &mut ListBuilder<StructBuilder>, record: &Record<'_>) -> usize {
    let mut bytes = 0;
    let structs = builder.values();
    for header in record.headers {
        if let Some(keys) = structs.field_builder::<StringBuilder>(0) {
            keys.append_value(String::from_utf8_lossy(header.key));
        }
        if let Some(values) = structs.field_builder::<BinaryBuilder>(1) {
            bytes += header.key.len() + push_bytes(values, header.value);
        }
        structs.append(true);
    }
    builder.append(!record.headers.is_empty());
    bytes
}

/// The ids of Kafka's `TimestampType`.
fn timestamp_type_id(timestamp_type: TimestampType) -> i32 {
    match timestamp_type {
        TimestampType::CreateTime => 0,
        TimestampType::LogAppendTime => 1,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use ottla_protocol::Compression;
    use ottla_protocol::batch::BatchBuilder;

    use super::super::schema::schema;
    use super::*;

    fn log() -> Bytes {
        let mut first = BatchBuilder::new(Compression::Snappy).with_base_offset(5);
        first.push(1_000, Some(b"k"), Some(b"five")).unwrap();
        first.push(1_001, None, Some(b"six")).unwrap();
        let mut control = BatchBuilder::new(Compression::None)
            .with_base_offset(7)
            .with_producer(1, 0, -1)
            .transactional()
            .control();
        control.push(1_002, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 0])).unwrap();
        let mut last = BatchBuilder::new(Compression::None).with_base_offset(8);
        last.push_with_headers(1_003, Some(b"k"), None, &[(b"h", Some(b"v"))]).unwrap();
        last.push(1_004, None, Some(b"nine")).unwrap();
        [first, control, last].into_iter().flat_map(|batch| batch.build().unwrap()).collect()
    }

    fn decode(log: &Bytes, columns: &[usize], range: Range<i64>) -> (String, i64) {
        let schema = Arc::new(schema(true, "UTC").project(columns).unwrap());
        let columns: Vec<_> = columns.iter().map(|index| Column::ALL[*index]).collect();
        let mut decoder = Decoder::new(TopicPartition::new("t", 3), schema, &columns);
        let decoded = decoder.decode(log, CommittedFilter::default(), range).unwrap();
        let table = pretty_format_batches(&decoded.batches).unwrap().to_string();
        (table, decoded.next_offset)
    }

    #[test]
    fn every_column_of_spark_s_schema() {
        let (table, next_offset) = decode(&log(), &[0, 1, 2, 3, 4, 5, 6, 7], 0..100);
        let expected = "\
+-----+----------+-------+-----------+--------+--------------------------+---------------+-----------------------+
| key | value    | topic | partition | offset | timestamp                | timestamptype | headers               |
+-----+----------+-------+-----------+--------+--------------------------+---------------+-----------------------+
| 6b  | 66697665 | t     | 3         | 5      | 1970-01-01T00:00:01Z     | 0             |                       |
|     | 736978   | t     | 3         | 6      | 1970-01-01T00:00:01.001Z | 0             |                       |
| 6b  |          | t     | 3         | 8      | 1970-01-01T00:00:01.003Z | 0             | [{key: h, value: 76}] |
|     | 6e696e65 | t     | 3         | 9      | 1970-01-01T00:00:01.004Z | 0             |                       |
+-----+----------+-------+-----------+--------+--------------------------+---------------+-----------------------+";
        assert_eq!(table, expected);
        assert_eq!(next_offset, 10);
    }

    #[test]
    fn only_the_range_and_never_a_gap() {
        let (table, next_offset) = decode(&log(), &[4], 6..9);
        assert!(table.contains("| 6 ") && table.contains("| 8 "), "{table}");
        assert!(!table.contains("| 5 ") && !table.contains("| 9 "), "{table}");
        assert_eq!(next_offset, 10);
        // Behind the control record nothing is left, and the reader moves on all the same.
        assert_eq!(decode(&log(), &[4], 7..8).1, 8);
    }

    #[test]
    fn a_batch_cut_short_is_left_for_the_next_fetch() {
        let log = log();
        let (_, next_offset) = decode(&log.slice(..log.len() - 3), &[1], 5..100);
        assert_eq!(next_offset, 8);
    }

    #[test]
    fn a_damaged_batch_names_the_partition() {
        let mut bytes = log().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut decoder = Decoder::new(TopicPartition::new("t", 3), schema(false, "UTC"), &[]);
        let error = decoder.decode(&bytes.into(), CommittedFilter::default(), 0..100).unwrap_err();
        assert!(error.to_string().contains("t-3"), "{error}");
    }
}
