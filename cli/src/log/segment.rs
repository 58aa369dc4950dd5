//! The batches of a `.log` file, read one at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ottla_protocol::batch::{BatchError, BatchHeader, Record, RecordBatch};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{JsonBytes, Output};

/// Base offset and length: what stands before the bytes that a batch's length counts.
const LOG_OVERHEAD_BYTES: usize = 12;
const MAX_DECOMPRESSED_BYTES: usize = 1024 * 1024 * 1024;

#[derive(Serialize)]
struct BatchLine<'a> {
    file: &'a Path,
    position: u64,
    base_offset: i64,
    last_offset: i64,
    count: i32,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    transactional: bool,
    control: bool,
    compression: String,
    max_timestamp_ms: i64,
    size_bytes: usize,
    crc: u32,
    valid: bool,
}

#[derive(Serialize)]
struct RecordLine<'a> {
    offset: i64,
    timestamp_ms: i64,
    key: Option<JsonBytes<'a>>,
    value: Option<JsonBytes<'a>>,
    headers: usize,
}

/// Something that is wrong at a place in a file.
#[derive(Serialize)]
pub(super) struct Damage<'a> {
    pub(super) file: &'a Path,
    pub(super) position: u64,
    pub(super) damage: String,
}

/// Answers how many damages the file has. Nothing behind a batch that is cut short or has no length can be read.
pub(super) fn dump(path: &Path, with_records: bool, output: &mut Output) -> Result<u64, Failure> {
    let failed = |error| Failure::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut position, mut damaged) = (0, 0);
    loop {
        let bytes = match next_batch(&mut reader, size - position).map_err(failed)? {
            Next::Batch(bytes) => bytes,
            Next::End => return Ok(damaged),
            Next::Damaged(damage) => {
                output.print(&Damage { file: path, position, damage })?;
                return Ok(damaged + 1);
            }
        };
        if let Err(error) = dump_batch(path, position, &bytes, with_records, output)? {
            output.print(&Damage { file: path, position, damage: error.to_string() })?;
            damaged += 1;
        }
        position += bytes.len() as u64;
    }
}

enum Next {
    Batch(Vec<u8>),
    /// The file's end, or the zeros of space that was allocated ahead.
    End,
    Damaged(String),
}

/// Reads a batch, of which no more than `left` bytes are there.
fn next_batch(reader: &mut impl Read, left: u64) -> io::Result<Next> {
    let mut batch = Vec::new();
    reader.by_ref().take(LOG_OVERHEAD_BYTES as u64).read_to_end(&mut batch)?;
    let Some(length) = batch.get(8..).and_then(|length| length.first_chunk::<4>()) else {
        return Ok(match batch.iter().all(|byte| *byte == 0) {
            true => Next::End,
            false => Next::Damaged(format!("{} bytes are left, too few for a batch", batch.len())),
        });
    };
    let length = i32::from_be_bytes(*length);
    match u64::try_from(length) {
        Ok(0) if batch.iter().all(|byte| *byte == 0) => Ok(Next::End),
        Ok(length @ 1..) if length <= left.saturating_sub(LOG_OVERHEAD_BYTES as u64) => {
            reader.take(length).read_to_end(&mut batch)?;
            Ok(Next::Batch(batch))
        }
        _ => Ok(Next::Damaged(format!("a batch claims {length} bytes; {left} are left"))),
    }
}

fn dump_batch(
    path: &Path,
    position: u64,
    bytes: &[u8],
    with_records: bool,
    output: &mut Output,
) -> Result<Result<(), BatchError>, Failure> {
    let batch = match RecordBatch::parse(bytes) {
        Ok((batch, _)) => batch,
        Err(error) => return Ok(Err(error)),
    };
    let crc = batch.verify_crc();
    output.print(&batch_line(path, position, &batch, crc.is_ok()))?;
    if crc.is_err() || !with_records {
        return Ok(crc);
    }
    dump_records(&batch, output)
}

fn dump_records(batch: &RecordBatch<'_>, output: &mut Output) -> Result<Result<(), BatchError>, Failure> {
    let records = match batch.records(MAX_DECOMPRESSED_BYTES) {
        Ok(records) => records,
        Err(error) => return Ok(Err(error)),
    };
    for record in &records {
        match record {
            Ok(record) => output.print(&record_line(&record))?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

fn batch_line<'a>(file: &'a Path, position: u64, batch: &RecordBatch<'_>, valid: bool) -> BatchLine<'a> {
    let header: &BatchHeader = batch.header();
    BatchLine {
        file,
        position,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        count: header.records_count,
        leader_epoch: header.leader_epoch,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.is_transactional(),
        control: header.is_control(),
        compression: header.compression().map_or_else(|_| "unknown".to_owned(), |codec| codec.to_string()),
        max_timestamp_ms: header.max_timestamp,
        size_bytes: batch.size_bytes(),
        crc: header.crc,
        valid,
    }
}

fn record_line<'a>(record: &Record<'a>) -> RecordLine<'a> {
    RecordLine {
        offset: record.offset,
        timestamp_ms: record.timestamp,
        key: record.key.map(JsonBytes),
        value: record.value.map(JsonBytes),
        headers: record.headers.len(),
    }
}

/// In the words of Kafka's `DumpLogSegments`.
impl fmt::Display for BatchLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} producerId: {} producerEpoch: {} \
             partitionLeaderEpoch: {} isTransactional: {} isControl: {} position: {} maxTimestamp: {} size: {} \
             compresscodec: {} crc: {} isvalid: {}",
            self.base_offset,
            self.last_offset,
            self.count,
            self.base_sequence,
            self.producer_id,
            self.producer_epoch,
            self.leader_epoch,
            self.transactional,
            self.control,
            self.position,
            self.max_timestamp_ms,
            self.size_bytes,
            self.compression,
            self.crc,
            self.valid
        )
    }
}

impl fmt::Display for RecordLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Option<JsonBytes<'_>>| match bytes {
            Some(JsonBytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            None => "null".to_owned(),
        };
        let RecordLine { offset, timestamp_ms, key, value, headers } = self;
        write!(
            f,
            "| offset: {offset} timestamp: {timestamp_ms} headers: {headers} key: {} value: {}",
            text(key),
            text(value)
        )
    }
}

impl fmt::Display for Damage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DAMAGED {} at position {}: {}", self.file.display(), self.position, self.damage)
    }
}
