use bytes::Buf;

use super::BatchError;
use crate::NO_PRODUCER_ID;
use crate::compression::Compression;

/// The size of a batch without its records.
pub const HEADER_BYTES: usize = 61;

/// The bytes before the batch length's first counted byte: base offset and the length itself.
pub(super) const LOG_OVERHEAD_BYTES: usize = 12;

pub(super) const BASE_OFFSET_AT: usize = 0;
pub(super) const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const COUNT_AT: usize = 57;

pub(super) const MAGIC: i8 = 2;
pub(super) const CODEC_MASK: i16 = 0x07;
pub(super) const LOG_APPEND_TIME_FLAG: i16 = 0x08;
pub(super) const TRANSACTIONAL_FLAG: i16 = 0x10;
pub(super) const CONTROL_FLAG: i16 = 0x20;
pub(super) const DELETE_HORIZON_FLAG: i16 = 0x40;

/// The fields of a batch header, as they stand in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes that follow this field.
    pub batch_length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

/// Whose clock the timestamps of a batch come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; the records need not be there. Checks magic and length.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(mut fields) = bytes.get(..HEADER_BYTES) else {
            return Err(Self::explain_cut(bytes));
        };
        let header = Self {
            base_offset: fields.get_i64(),
            batch_length: fields.get_i32(),
            leader_epoch: fields.get_i32(),
            magic: fields.get_i8(),
            crc: fields.get_u32(),
            attributes: fields.get_i16(),
            last_offset_delta: fields.get_i32(),
            base_timestamp: fields.get_i64(),
            max_timestamp: fields.get_i64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_i16(),
            base_sequence: fields.get_i32(),
            records_count: fields.get_i32(),
        };
        header.check()
    }

    /// The whole batch: header and records.
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD_BYTES + self.batch_length as usize
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The offset of the record that follows this batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    pub fn compression(&self) -> Result<Compression, BatchError> {
        let codec = self.attributes & CODEC_MASK;
        Compression::from_codec(codec)
            .ok_or(BatchError::UnknownCodec { base_offset: self.base_offset, codec })
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_FLAG == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    /// Control batches hold transaction markers or snapshot headers; consumers never see their records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    /// Set by the log cleaner (KIP-534): then the base timestamp is the time from which tombstones may go.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_FLAG != 0
    }

    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id != NO_PRODUCER_ID
    }

    /// The sequence number of the batch's last record; sequences wrap from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        if last > i64::from(i32::MAX) { (last - i64::from(i32::MAX) - 1) as i32 } else { last as i32 }
    }

    pub(super) fn record_timestamp(&self, delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(delta),
        }
    }

    fn check(self) -> Result<Self, BatchError> {
        let Self { base_offset, magic, batch_length: claimed, .. } = self;
        if magic != MAGIC {
            return Err(BatchError::UnsupportedMagic { magic });
        }
        if claimed < (HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32 {
            return Err(BatchError::LengthTooSmall { base_offset, claimed });
        }
        Ok(self)
    }

    /// Message sets of old clients are shorter than a header of magic 2; the magic stands at the same place.
    fn explain_cut(bytes: &[u8]) -> BatchError {
        match bytes.get(16).map(|&magic| magic as i8) {
            Some(magic) if magic != MAGIC => BatchError::UnsupportedMagic { magic },
            _ => BatchError::HeaderCut { left_bytes: bytes.len() },
        }
    }
}
