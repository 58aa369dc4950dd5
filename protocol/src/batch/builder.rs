use bytes::{BufMut, Bytes};
use thiserror::Error;

use super::header::{
    BASE_OFFSET_AT, CONTROL_FLAG, HEADER_BYTES, LENGTH_AT, LOG_APPEND_TIME_FLAG, LOG_OVERHEAD_BYTES, MAGIC,
    TRANSACTIONAL_FLAG,
};
use super::mutate::{put, seal};
use crate::compression::{self, Compression};
use crate::{NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, varint};

/// Builds one record batch. Records are written straight into the batch's buffer; a record costs no allocation.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    compression: Compression,
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    last_offset_delta: i32,
    count: i32,
    /// Room for the header, then the records, uncompressed.
    bytes: Vec<u8>,
}

/// Why records do not make a batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    #[error("a batch needs at least one record")]
    Empty,
    #[error("the batch would take {size_bytes} bytes; Kafka's format ends at 2147483647")]
    TooLarge { size_bytes: usize },
    #[error("offset {offset} does not fit behind offset {last_offset} in the batch at {base_offset}")]
    Offset { offset: i64, last_offset: i64, base_offset: i64 },
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            base_offset: 0,
            leader_epoch: NO_LEADER_EPOCH,
            attributes: compression.codec(),
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            last_offset_delta: -1,
            count: 0,
            bytes: vec![0; HEADER_BYTES],
        }
    }

    /// Reserves room for records of `bytes` in total.
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.bytes.reserve(bytes);
        self
    }

    pub fn with_base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset;
        self
    }

    pub fn with_leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Marks the batch as an idempotent producer's.
    pub fn with_producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
        self
    }

    pub fn transactional(mut self) -> Self {
        self.attributes |= TRANSACTIONAL_FLAG;
        self
    }

    pub fn control(mut self) -> Self {
        self.attributes |= CONTROL_FLAG;
        self
    }

    /// Every record then has `timestamp_ms`, whatever it is pushed with.
    pub fn with_log_append_time(mut self, timestamp_ms: i64) -> Self {
        self.attributes |= LOG_APPEND_TIME_FLAG;
        self.max_timestamp = timestamp_ms;
        self
    }

    /// Adds a record behind the last one.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), BuildError> {
        self.push_with_headers(timestamp, key, value, &[])
    }

    /// Adds a record behind the last one, with its headers as key and value.
    pub fn push_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BuildError> {
        let offset = self.base_offset + i64::from(self.last_offset_delta) + 1;
        self.push_at(offset, timestamp, key, value, headers)
    }

    /// Adds a record at `offset`, which may leave a gap behind the last one, as compaction does.
    pub fn push_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BuildError> {
        let offset_delta = self.delta_of(offset)?;
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let record = RawRecord { timestamp_delta, offset_delta, key, value, headers };
        let size = record.size_bytes();
        let size_bytes = self.bytes.len().saturating_add(size).saturating_add(varint::MAX_U32_BYTES);
        if i32::try_from(size_bytes).is_err() {
            return Err(BuildError::TooLarge { size_bytes });
        }
        self.bytes.reserve(size + varint::MAX_U32_BYTES);
        varint::put_i32(&mut self.bytes, size as i32);
        record.put(&mut self.bytes);
        if self.attributes & LOG_APPEND_TIME_FLAG == 0 {
            self.max_timestamp = self.max_timestamp.max(timestamp);
        }
        self.last_offset_delta = offset_delta;
        self.count += 1;
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The batch's size so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Compresses the records, fills the header in and seals it with the CRC.
    pub fn build(mut self) -> Result<Bytes, BuildError> {
        if self.is_empty() {
            return Err(BuildError::Empty);
        }
        if self.compression != Compression::None {
            let compressed = compression::compress(self.compression, &self.bytes[HEADER_BYTES..]);
            self.bytes.truncate(HEADER_BYTES);
            self.bytes.extend_from_slice(&compressed);
        }
        let size_bytes = self.bytes.len();
        let length = i32::try_from(size_bytes - LOG_OVERHEAD_BYTES);
        let length = length.map_err(|_| BuildError::TooLarge { size_bytes })?;
        self.put_header(length);
        seal(&mut self.bytes);
        Ok(self.bytes.into())
    }

    fn delta_of(&self, offset: i64) -> Result<i32, BuildError> {
        let delta = offset.checked_sub(self.base_offset).and_then(|delta| i32::try_from(delta).ok());
        delta.filter(|&delta| delta > self.last_offset_delta).ok_or(BuildError::Offset {
            offset,
            last_offset: self.base_offset + i64::from(self.last_offset_delta),
            base_offset: self.base_offset,
        })
    }

    fn put_header(&mut self, length: i32) {
        put(&mut self.bytes, BASE_OFFSET_AT, self.base_offset.to_be_bytes());
        put(&mut self.bytes, LENGTH_AT, length.to_be_bytes());
        let mut fields = &mut self.bytes[LOG_OVERHEAD_BYTES..HEADER_BYTES];
        fields.put_i32(self.leader_epoch);
        fields.put_i8(MAGIC);
        fields.put_u32(0);
        fields.put_i16(self.attributes);
        fields.put_i32(self.last_offset_delta);
        fields.put_i64(self.base_timestamp);
        fields.put_i64(self.max_timestamp);
        fields.put_i64(self.producer_id);
        fields.put_i16(self.producer_epoch);
        fields.put_i32(self.base_sequence);
        fields.put_i32(self.count);
    }
}

/// A record as it is written, without the length that precedes it.
struct RawRecord<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

impl RawRecord<'_> {
    fn size_bytes(&self) -> usize {
        let header_size = |(key, value): &(&[u8], Option<&[u8]>)| field_size(Some(key)) + field_size(*value);
        1 + varint::size_i64(self.timestamp_delta)
            + varint::size_i32(self.offset_delta)
            + field_size(self.key)
            + field_size(self.value)
            + varint::size_i32(self.headers.len() as i32)
            + self.headers.iter().map(header_size).sum::<usize>()
    }

    fn put(&self, out: &mut Vec<u8>) {
        const ATTRIBUTES: i8 = 0;
        out.put_i8(ATTRIBUTES);
        varint::put_i64(out, self.timestamp_delta);
        varint::put_i32(out, self.offset_delta);
        put_field(out, self.key);
        put_field(out, self.value);
        varint::put_i32(out, self.headers.len() as i32);
        for (key, value) in self.headers {
            put_field(out, Some(key));
            put_field(out, *value);
        }
    }
}

fn field_size(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::size_i32(bytes.len() as i32) + bytes.len())
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    varint::put_i32(out, field.map_or(-1, |bytes| bytes.len() as i32));
    out.put_slice(field.unwrap_or_default());
}
