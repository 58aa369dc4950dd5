//! What is kept and what is cut when a log's files are not as its broker left them.
#![allow(clippy::disallowed_methods)]

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder, BatchError},
};
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, AppendOutcome, Isolation, Log, LogConfig, LogStart,
    RecoveryOutcome, TailFault, TopicPartition,
};
use tempfile::TempDir;
use uuid::Uuid;

const PRODUCER_ID: i64 = 4;
/// Of one batch of one record.
const BATCH_BYTES: u64 = 570;
const BATCHES_PER_SEGMENT: i64 = 10;

struct Harness {
    dir: TempDir,
    log: Option<Log>,
}

impl Harness {
    /// A log of `count` batches, one record each.
    fn with_batches(count: i64) -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("t-0"), topic_partition(), Uuid::nil(), config(), 0).unwrap();
        let harness = Harness { dir, log: Some(log) };
        (0..count).for_each(|offset| assert_eq!(harness.append(offset).unwrap().base_offset, offset));
        harness
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn append(&self, sequence: i64) -> Result<AppendOutcome, AppendError> {
        let context =
            AppendContext { leader_epoch: 0, now_ms: 0, origin: AppendOrigin::Client, verification: None };
        self.log().append(&batch(sequence), &context)
    }

    fn kill(&mut self) {
        self.log = None;
    }

    fn close(&mut self) -> LogStart {
        let end_offset = self.log().close().unwrap().end_offset;
        self.log = None;
        LogStart::Clean { end_offset }
    }

    fn open(&mut self, start: LogStart) -> RecoveryOutcome {
        let dir = self.dir.path().join("t-0");
        let (log, outcome) = Log::open(dir, topic_partition(), config(), start, 0, 0).unwrap();
        self.log = Some(log);
        outcome
    }

    fn path(&self, offset: i64, extension: &str) -> PathBuf {
        self.dir.path().join("t-0").join(format!("{offset:020}.{extension}"))
    }

    fn overwrite(&self, path: &PathBuf, position: u64, bytes: &[u8]) {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(position)).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Reads from every offset, one batch at a time.
    fn check_records(&self, end_offset: i64) {
        assert_eq!(self.log().end_offset(), end_offset);
        for offset in 0..end_offset {
            let records = self.log().read(offset, 1, true, Isolation::ReadUncommitted).unwrap().records;
            let read: Vec<_> = batch::batches(&records).map(Result::unwrap).collect();
            assert_eq!(read.len(), 1);
            assert_eq!(read[0].base_offset(), offset);
            assert_eq!(read[0].bytes()[16..], batch(offset)[16..]);
            let found =
                self.log().offset_for_timestamp(1000 + offset, Isolation::ReadUncommitted).unwrap().unwrap();
            assert_eq!((found.offset, found.timestamp), (offset, 1000 + offset));
        }
    }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

fn config() -> LogConfig {
    let segment_bytes = BATCHES_PER_SEGMENT as u32 * BATCH_BYTES as u32;
    LogConfig { segment_bytes, index_interval_bytes: 1000, ..LogConfig::default() }
}

fn batch(sequence: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None).with_producer(PRODUCER_ID, 0, sequence as i32);
    batch.push(1000 + sequence, None, Some(&[7; 500])).unwrap();
    let batch = batch.build().unwrap();
    assert_eq!(batch.len() as u64, BATCH_BYTES);
    batch
}

const UNKNOWN: LogStart = LogStart::Unclean { recovery_point: 0 };

#[test]
fn everything_acknowledged_is_there_after_a_kill() {
    let mut harness = Harness::with_batches(25);
    harness.kill();
    let outcome = harness.open(UNKNOWN);
    assert_eq!((outcome.end_offset, outcome.truncation), (25, None));
    assert_eq!(outcome.scanned_bytes, 25 * BATCH_BYTES);
    harness.check_records(25);
}

#[test]
fn a_torn_batch_is_cut_and_said_in_one_sentence() {
    let mut harness = Harness::with_batches(3);
    harness.kill();
    harness.overwrite(&harness.path(0, "log"), 3 * BATCH_BYTES, &batch(3)[..300]);
    let outcome = harness.open(UNKNOWN);
    let truncation = outcome.truncation.clone().unwrap();
    assert_eq!((truncation.offset, truncation.position), (3, 3 * BATCH_BYTES));
    let said = outcome.to_string();
    assert!(said.starts_with("kept everything below offset 3; cut "), "{said}");
    assert!(said.contains("00000000000000000000.log from position 1710 on, because "), "{said}");
    harness.check_records(3);
    assert_eq!(harness.append(3).unwrap().base_offset, 3);
}

#[test]
fn nothing_follows_a_damaged_batch() {
    let mut harness = Harness::with_batches(35);
    harness.kill();
    harness.overwrite(&harness.path(10, "log"), 4 * BATCH_BYTES + 100, b"damage");
    let truncation = harness.open(UNKNOWN).truncation.unwrap();
    assert!(matches!(truncation.reason, TailFault::Batch(BatchError::CrcMismatch { .. })));
    assert_eq!((truncation.offset, truncation.removed_segments), (14, 2));
    assert!(!harness.path(20, "log").exists() && !harness.path(30, "snapshot").exists());
    harness.check_records(14);
    assert_eq!(harness.append(14).unwrap().base_offset, 14);
}

#[test]
fn a_segment_that_lost_its_end_ends_the_log() {
    let mut harness = Harness::with_batches(25);
    harness.kill();
    let log = OpenOptions::new().write(true).open(harness.path(10, "log")).unwrap();
    log.set_len(5 * BATCH_BYTES).unwrap();
    log.set_len(9 * BATCH_BYTES).unwrap();
    let truncation = harness.open(UNKNOWN).truncation.unwrap();
    assert_eq!(truncation.reason, TailFault::Gap { end: 15, next: 20 });
    harness.check_records(15);
}

#[test]
fn lost_records_are_noticed_after_a_clean_stop() {
    let mut harness = Harness::with_batches(5);
    let start = harness.close();
    OpenOptions::new().write(true).open(harness.path(0, "log")).unwrap().set_len(2 * BATCH_BYTES).unwrap();
    harness.open(start);
    assert_eq!(harness.append(2).unwrap().base_offset, 2);
    harness.check_records(3);
}

#[test]
fn lost_records_are_noticed_after_a_kill() {
    let mut harness = Harness::with_batches(5);
    harness.log().flush().unwrap();
    harness.kill();
    OpenOptions::new().write(true).open(harness.path(0, "log")).unwrap().set_len(2 * BATCH_BYTES).unwrap();
    let truncation = harness.open(LogStart::Unclean { recovery_point: 5 }).truncation.unwrap();
    assert_eq!((truncation.offset, truncation.reason), (2, TailFault::Lost { recorded: 5 }));
    harness.check_records(2);
}

#[test]
fn missing_indexes_are_made_again() {
    for clean in [true, false] {
        let mut harness = Harness::with_batches(25);
        let start = if clean { harness.close() } else { UNKNOWN };
        harness.kill();
        let sound = fs::read(harness.path(10, "index")).unwrap();
        for (offset, extension) in [(0, "index"), (10, "index"), (10, "timeindex"), (20, "index")] {
            let _ = fs::remove_file(harness.path(offset, extension));
        }
        harness.open(start);
        harness.check_records(25);
        assert_eq!(fs::read(harness.path(10, "index")).unwrap(), sound);
    }
}

#[test]
fn damaged_indexes_do_not_mislead() {
    for garbage in [[0; 24], [0xff; 24], [1; 24]] {
        for clean in [true, false] {
            let mut harness = Harness::with_batches(25);
            let start = if clean { harness.close() } else { LogStart::Unclean { recovery_point: 22 } };
            harness.kill();
            fs::write(harness.path(10, "index"), garbage).unwrap();
            fs::write(harness.path(20, "index"), garbage).unwrap();
            harness.open(start);
            for offset in 0..25 {
                let records =
                    harness.log().read(offset, 1, true, Isolation::ReadUncommitted).unwrap().records;
                assert_eq!(batch::batches(&records).next().unwrap().unwrap().base_offset(), offset);
            }
        }
    }
}

#[test]
fn a_zero_filled_index_tail_is_left_out() {
    let mut harness = Harness::with_batches(5);
    harness.log().flush().unwrap();
    harness.kill();
    let index = harness.path(0, "index");
    let sound = fs::read(&index).unwrap();
    fs::write(&index, [&sound[..], &[0; 4096]].concat()).unwrap();
    harness.open(LogStart::Unclean { recovery_point: 5 });
    harness.check_records(5);
    harness.close();
    assert_eq!(fs::read(&index).unwrap(), sound);
}

#[test]
fn producers_are_remembered_after_a_clean_stop_and_after_a_kill() {
    for clean in [true, false] {
        let mut harness = Harness::with_batches(15);
        let start = if clean { harness.close() } else { UNKNOWN };
        harness.kill();
        harness.open(start);
        let repeated = harness.append(14).unwrap();
        assert!(repeated.duplicate && repeated.base_offset == 14);
        assert!(matches!(harness.append(16), Err(AppendError::Sequence(_))));
        assert_eq!(harness.append(15).unwrap().base_offset, 15);
    }
}

#[test]
fn a_damaged_snapshot_of_producers_is_passed_over() {
    let mut harness = Harness::with_batches(15);
    let start = harness.close();
    harness.overwrite(&harness.path(15, "snapshot"), 20, b"damage");
    harness.open(start);
    assert!(harness.append(14).unwrap().duplicate);
}

#[test]
fn a_roll_that_was_interrupted_goes_on() {
    let mut harness = Harness::with_batches(10);
    harness.kill();
    fs::write(harness.path(10, "log"), b"").unwrap();
    assert_eq!(harness.open(UNKNOWN).truncation, None);
    harness.check_records(10);
    assert_eq!(harness.append(10).unwrap().base_offset, 10);
    harness.check_records(11);
}

#[test]
fn a_partition_without_a_segment_begins_anew() {
    let mut harness = Harness::with_batches(0);
    harness.kill();
    fs::remove_file(harness.path(0, "log")).unwrap();
    assert_eq!(harness.open(UNKNOWN).end_offset, 0);
    assert_eq!(harness.append(0).unwrap().base_offset, 0);
}
