//! What a batch must be like before it is appended. Runs outside the append lock.

use ottla_protocol::{
    NO_TIMESTAMP,
    batch::{self, BatchError, BatchHeader, HEADER_BYTES, RecordBatch, RecordsSummary, TimestampType},
};
use thiserror::Error;

use super::{AppendContext, AppendError, AppendOrigin};
use crate::{config::LogConfig, segment::MAX_DECOMPRESSED_BYTES};

/// Why a sound batch is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordRefused {
    #[error("a producer must send exactly one batch for each partition")]
    NotOneBatch,
    #[error("a producer's batch must begin at offset 0, not {base_offset}")]
    BaseOffset { base_offset: i64 },
    #[error("only the broker writes control batches")]
    ControlBatch,
    #[error("a transactional batch must have a producer id")]
    NoProducerId,
    #[error("an idempotent producer's batch must have a sequence number, not {base_sequence}")]
    NoSequence { base_sequence: i32 },
    #[error("a record without a key was sent to a compacted topic")]
    NoKey,
}

/// The length that a batch or message begins with ends here; it counts what follows.
const LENGTH_END: usize = 12;
/// Where the magic stands, in all formats.
const MAGIC_AT: usize = 16;
/// The shortest message of the oldest format. A length below is no message's, and nothing can be said of what follows.
const SHORTEST_MESSAGE_BYTES: usize = 14;

/// A batch that may be appended, with the header that it will have but for its offset and leader epoch.
#[derive(Clone, Copy)]
pub(super) struct ValidBatch<'a> {
    pub(super) batch: RecordBatch<'a>,
    pub(super) header: BatchHeader,
    pub(super) header_bytes: [u8; HEADER_BYTES],
}

/// The batches of one append.
pub(super) fn validate<'a>(
    records: &'a [u8],
    config: &LogConfig,
    context: &AppendContext,
) -> Result<Vec<ValidBatch<'a>>, AppendError> {
    let batches = match context.origin {
        AppendOrigin::Client => vec![client_batch(records, config, context)?],
        AppendOrigin::Coordinator => coordinator_batches(records, config, context)?,
    };
    if batches.is_empty() {
        return Err(RecordRefused::NotOneBatch.into());
    }
    let size_bytes = size_bytes(&batches);
    if size_bytes > config.max_segment_bytes() {
        return Err(AppendError::RecordListTooLarge { size_bytes, segment_bytes: config.segment_bytes });
    }
    Ok(batches)
}

/// What the batches take in the log.
pub(super) fn size_bytes(batches: &[ValidBatch<'_>]) -> usize {
    batches.iter().map(|valid| valid.batch.size_bytes()).sum()
}

fn coordinator_batches<'a>(
    records: &'a [u8],
    config: &LogConfig,
    context: &AppendContext,
) -> Result<Vec<ValidBatch<'a>>, AppendError> {
    batch::batches(records)
        .map(|batch| stamped(batch.map_err(AppendError::Batch)?, None, config, context))
        .collect()
}

fn client_batch<'a>(
    records: &'a [u8],
    config: &LogConfig,
    context: &AppendContext,
) -> Result<ValidBatch<'a>, AppendError> {
    if records.is_empty() {
        return Err(RecordRefused::NotOneBatch.into());
    }
    let (batch, rest) = RecordBatch::parse(records).map_err(AppendError::Batch)?;
    check_behind(rest)?;
    let max_bytes = config.max_message_bytes;
    if batch.size_bytes() > max_bytes as usize {
        return Err(AppendError::MessageTooLarge { size_bytes: batch.size_bytes(), max_bytes });
    }
    let summary = batch.validate(MAX_DECOMPRESSED_BYTES).map_err(AppendError::Batch)?;
    check_header(batch.header())?;
    if config.compacted && summary.has_null_key {
        return Err(RecordRefused::NoKey.into());
    }
    stamped(batch, Some(summary), config, context)
}

/// What stands behind the one batch of a producer. As Kafka does it: what is cut short is dropped, a whole batch or
/// what cannot become one is an error.
fn check_behind(rest: &[u8]) -> Result<(), AppendError> {
    let Some((base_offset, length)) = rest.split_first_chunk() else { return Ok(()) };
    let Some(&length) = length.first_chunk() else { return Ok(()) };
    let (base_offset, claimed) = (i64::from_be_bytes(*base_offset), i32::from_be_bytes(length));
    let Some(length) = usize::try_from(claimed).ok().filter(|length| *length >= SHORTEST_MESSAGE_BYTES)
    else {
        return Err(AppendError::Batch(BatchError::LengthTooSmall { base_offset, claimed }));
    };
    match rest.get(MAGIC_AT).map(|magic| i8::from_be_bytes([*magic])) {
        None => Ok(()),
        Some(magic @ (..0 | 3..)) => Err(AppendError::Batch(BatchError::UnsupportedMagic { magic })),
        Some(_) if rest.len() - LENGTH_END < length => Ok(()),
        Some(_) => Err(RecordRefused::NotOneBatch.into()),
    }
}

fn check_header(header: &BatchHeader) -> Result<(), RecordRefused> {
    let BatchHeader { base_offset, base_sequence, .. } = *header;
    if base_offset != 0 {
        return Err(RecordRefused::BaseOffset { base_offset });
    }
    if header.is_control() {
        return Err(RecordRefused::ControlBatch);
    }
    if header.is_transactional() && !header.has_producer_id() {
        return Err(RecordRefused::NoProducerId);
    }
    if header.has_producer_id() && base_sequence < 0 {
        return Err(RecordRefused::NoSequence { base_sequence });
    }
    Ok(())
}

/// The header with the timestamps that the topic's `message.timestamp.type` asks for.
fn stamped<'a>(
    batch: RecordBatch<'a>,
    summary: Option<RecordsSummary>,
    config: &LogConfig,
    context: &AppendContext,
) -> Result<ValidBatch<'a>, AppendError> {
    let Some(&(mut header_bytes)) = batch.bytes().first_chunk() else {
        return Err(AppendError::Batch(BatchError::HeaderCut { left_bytes: batch.size_bytes() }));
    };
    let said = batch.header().max_timestamp;
    let wanted = config.message_timestamp_type;
    let max_timestamp = match wanted {
        TimestampType::LogAppendTime => context.now_ms,
        TimestampType::CreateTime => summary.map_or(said, |summary| summary.max_timestamp),
    };
    if wanted == TimestampType::CreateTime && context.origin == AppendOrigin::Client {
        check_timestamps(&batch, max_timestamp, config, context)?;
    }
    if max_timestamp != said || batch.header().timestamp_type() != wanted {
        batch::set_header_timestamp(&mut header_bytes, batch.body(), wanted, max_timestamp);
    }
    let header = BatchHeader::parse(&header_bytes).map_err(AppendError::Batch)?;
    Ok(ValidBatch { batch, header, header_bytes })
}

/// `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`. Every record is looked at only when the
/// former is set, for the header has but the largest timestamp.
fn check_timestamps(
    batch: &RecordBatch<'_>,
    max_timestamp: i64,
    config: &LogConfig,
    context: &AppendContext,
) -> Result<(), AppendError> {
    let earliest = context.now_ms.saturating_sub(config.message_timestamp_before_max_ms);
    let latest = context.now_ms.saturating_add(config.message_timestamp_after_max_ms);
    let check = |timestamp| match timestamp {
        NO_TIMESTAMP => Ok(()),
        _ if timestamp > latest || timestamp < earliest => {
            Err(AppendError::InvalidTimestamp { timestamp, earliest, latest })
        }
        _ => Ok(()),
    };
    check(max_timestamp)?;
    if config.message_timestamp_before_max_ms == i64::MAX {
        return Ok(());
    }
    for record in &batch.records(MAX_DECOMPRESSED_BYTES).map_err(AppendError::Batch)? {
        check(record.map_err(AppendError::Batch)?.timestamp)?;
    }
    Ok(())
}
