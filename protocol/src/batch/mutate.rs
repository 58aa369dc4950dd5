//! The fields that the broker writes into a batch. Each function leaves bytes that are too short for a batch as they
//! are; callers have parsed them.

use super::header::{
    ATTRIBUTES_AT, BASE_OFFSET_AT, CRC_AT, HEADER_BYTES, LEADER_EPOCH_AT, LOG_APPEND_TIME_FLAG,
    MAX_TIMESTAMP_AT, TimestampType,
};

/// Not under the CRC.
pub fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    put(batch, BASE_OFFSET_AT, base_offset.to_be_bytes());
}

/// Not under the CRC.
pub fn set_leader_epoch(batch: &mut [u8], leader_epoch: i32) {
    put(batch, LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
}

/// Writes largest timestamp, timestamp type and CRC into a header that was copied out of its batch; `body` is what
/// follows it there. So the records are copied only once, to their place in the log.
pub fn set_header_timestamp(
    header: &mut [u8; HEADER_BYTES],
    body: &[u8],
    timestamp_type: TimestampType,
    timestamp_ms: i64,
) {
    let flag = match timestamp_type {
        TimestampType::CreateTime => 0,
        TimestampType::LogAppendTime => LOG_APPEND_TIME_FLAG,
    };
    let attributes = i16::from_be_bytes([header[ATTRIBUTES_AT], header[ATTRIBUTES_AT + 1]]);
    let attributes = attributes & !LOG_APPEND_TIME_FLAG | flag;
    put(header, ATTRIBUTES_AT, attributes.to_be_bytes());
    put(header, MAX_TIMESTAMP_AT, timestamp_ms.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[ATTRIBUTES_AT..]), body);
    put(header, CRC_AT, crc.to_be_bytes());
}

/// Writes the CRC of everything behind it.
pub(super) fn seal(batch: &mut [u8]) {
    if let Some(covered) = batch.get(ATTRIBUTES_AT..) {
        let crc = crc32c::crc32c(covered);
        put(batch, CRC_AT, crc.to_be_bytes());
    }
}

pub(super) fn put<const N: usize>(batch: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = batch.get_mut(at..at + N) {
        place.copy_from_slice(&field);
    }
}
