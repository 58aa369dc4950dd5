use thiserror::Error;

use crate::compression::DecompressError;

/// Why bytes are not a sound record batch. The broker answers each with CORRUPT_MESSAGE, INVALID_RECORD,
/// UNSUPPORTED_FOR_MESSAGE_FORMAT or UNSUPPORTED_COMPRESSION_TYPE.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    #[error("{left_bytes} bytes are left where a batch header takes 61: the batch is cut short")]
    HeaderCut { left_bytes: usize },
    #[error("the batch at offset {base_offset} claims a length of {claimed}, less than its own header")]
    LengthTooSmall { base_offset: i64, claimed: i32 },
    #[error("the batch at offset {base_offset} claims {claimed_bytes} bytes but {left_bytes} are left")]
    Cut { base_offset: i64, claimed_bytes: usize, left_bytes: usize },
    #[error("the batch has magic {magic}; Ottla reads magic 2, which every client since Kafka 0.11 writes")]
    UnsupportedMagic { magic: i8 },
    #[error("the batch at offset {base_offset} says CRC {stored:#010x} but its bytes give {computed:#010x}")]
    CrcMismatch { base_offset: i64, stored: u32, computed: u32 },
    #[error(
        "the batch at offset {base_offset} counts {count} records but its last offset delta is {last_offset_delta}"
    )]
    CountMismatch { base_offset: i64, count: i32, last_offset_delta: i32 },
    #[error("the batch at offset {base_offset} names compression codec {codec}; there are codecs 0 to 4")]
    UnknownCodec { base_offset: i64, codec: i16 },
    #[error("record {index} of the batch at offset {base_offset}: {fault}")]
    Record { base_offset: i64, index: u32, fault: RecordFault },
    #[error("the batch at offset {base_offset} cannot be decompressed: {cause}")]
    Decompress { base_offset: i64, cause: DecompressError },
}

/// What is wrong with one record inside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordFault {
    #[error("it is cut short, or a length in it leads past its end")]
    Cut,
    #[error("its length leaves bytes that belong to no field")]
    Overlong,
    #[error("its offset delta is not its place in the batch")]
    OffsetDelta,
    #[error("bytes follow the last record")]
    TrailingBytes,
}
