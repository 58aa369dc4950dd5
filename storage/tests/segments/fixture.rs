//! A log of three segments with one record per batch: 0 to 9, 10 to 19, 20 to 24.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, CleanedFiles, FileKind, Isolation, Log, LogConfig, LogStart,
    OpenError, ReadError, RecoveryOutcome, ReplaceError, TopicPartition,
};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const PER_SEGMENT: i64 = 10;
pub(crate) const END: i64 = 25;
const BATCH_BYTES: u32 = 570;

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    log: Option<Log>,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("t-0"), topic_partition(), Uuid::nil(), config(), 0).unwrap();
        let fixture = Fixture { dir, log: Some(log) };
        (0..END).for_each(|offset| assert_eq!(fixture.append(0).unwrap(), offset));
        fixture
    }

    pub(crate) fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    pub(crate) fn partition_dir(&self) -> PathBuf {
        self.dir.path().join("t-0")
    }

    pub(crate) fn append(&self, leader_epoch: i32) -> Result<i64, AppendError> {
        let context =
            AppendContext { leader_epoch, now_ms: 0, origin: AppendOrigin::Client, verification: None };
        let log = self.log();
        log.append(&batch(log.end_offset()), &context).map(|outcome| outcome.base_offset)
    }

    pub(crate) fn kill(&mut self) {
        self.log = None;
    }

    pub(crate) fn close(&mut self) -> LogStart {
        let end_offset = self.log().close().unwrap().end_offset;
        self.log = None;
        LogStart::Clean { end_offset }
    }

    pub(crate) fn open(&mut self, start: LogStart, log_start_offset: i64) -> RecoveryOutcome {
        self.try_open(start, log_start_offset).unwrap()
    }

    pub(crate) fn try_open(
        &mut self,
        start: LogStart,
        log_start_offset: i64,
    ) -> Result<RecoveryOutcome, OpenError> {
        let (log, outcome) =
            Log::open(self.partition_dir(), topic_partition(), config(), start, log_start_offset, 0)?;
        self.log = Some(log);
        Ok(outcome)
    }

    /// One batch.
    pub(crate) fn read(&self, offset: i64) -> Result<Bytes, ReadError> {
        Ok(self.log().read(offset, 1, true, Isolation::ReadUncommitted)?.records)
    }

    /// The offsets of all records from the log start on; each of them is what was appended.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        let mut offsets = Vec::new();
        let mut next = self.log().start_offset();
        while next < self.log().end_offset() {
            let records = self.log().read(next, 2000, true, Isolation::ReadUncommitted).unwrap().records;
            for batch in batch::batches(&records) {
                let record = batch.unwrap();
                assert_eq!(record.bytes()[16..], batch_of(record.base_offset())[16..]);
                if record.base_offset() >= self.log().start_offset() {
                    offsets.push(record.base_offset());
                }
                next = record.header().next_offset();
            }
            if records.is_empty() {
                // Compaction has left a gap up to the next segment.
                next += 1;
            }
        }
        offsets
    }

    /// Writes what compaction could have made of `replaced`: the even offsets.
    pub(crate) fn clean(&self, base_offset: i64, end_offset: i64) -> Result<CleanedFiles, ReplaceError> {
        let cleaned = self.log().begin_cleaning(base_offset)?;
        fs::write(cleaned.path(FileKind::Log), even_batches(base_offset, end_offset)).unwrap();
        fs::write(cleaned.path(FileKind::OffsetIndex), b"").unwrap();
        fs::write(cleaned.path(FileKind::TimeIndex), b"").unwrap();
        Ok(cleaned)
    }

    /// Replaces both sealed segments.
    pub(crate) fn compact(&self) -> Result<(), ReplaceError> {
        let cleaned = self.clean(0, 2 * PER_SEGMENT)?;
        self.log().replace_segments(cleaned, 0..=PER_SEGMENT)
    }

    /// Without their zeros, and without what belongs to the partition.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.partition_dir())
    }

    /// Breaks a byte of the record at `offset`, which is in the first segment.
    pub(crate) fn damage(&self, offset: usize) {
        let path = self.path("0.log");
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset * BATCH_BYTES as usize + 100] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let (offset, extension) = name.split_once('.').unwrap();
        self.partition_dir().join(format!("{offset:0>20}.{extension}"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let short = names.filter_map(|name| {
        let (digits, extension) = name.split_once('.')?;
        Some(format!("{}.{extension}", digits.parse::<i64>().ok()?))
    });
    let mut short: Vec<_> = short.collect();
    short.sort();
    short
}

/// As the log has them.
pub(crate) fn even_batches(base_offset: i64, end_offset: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for offset in (base_offset..end_offset).filter(|offset| offset % 2 == 0) {
        bytes.extend(batch_of(offset));
    }
    bytes
}

fn batch_of(offset: i64) -> Vec<u8> {
    let mut bytes = batch(offset).to_vec();
    batch::set_base_offset(&mut bytes, offset);
    batch::set_leader_epoch(&mut bytes, 0);
    bytes
}

fn batch(offset: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1000 + offset, None, Some(&[offset as u8; 500])).unwrap();
    let batch = batch.build().unwrap();
    assert_eq!(batch.len(), BATCH_BYTES as usize);
    batch
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

pub(crate) fn config() -> LogConfig {
    let segment_bytes = PER_SEGMENT as u32 * BATCH_BYTES;
    LogConfig { segment_bytes, index_interval_bytes: 1000, ..LogConfig::default() }
}
