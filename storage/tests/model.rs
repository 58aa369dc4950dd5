//! Random operations on a log, compared with a list of batches in memory; retention, DeleteRecords, reopening and killing
//! are operations.
#![allow(clippy::disallowed_methods)]

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
    AppendContext, AppendOrigin, Isolation, Log, LogConfig, LogStart, ReadError, StartOffsetError,
    TopicPartition,
};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Operation {
    Append {
        timestamps: Vec<i64>,
        value_bytes: usize,
    },
    /// The same batch again, as a producer that got no answer sends it.
    Repeat {
        back: usize,
    },
    Read {
        at: f64,
        max_bytes: usize,
        at_least_one_batch: bool,
    },
    FindTimestamp {
        timestamp: i64,
    },
    /// A kill that comes before the `checkpoint` finds the start where the files begin.
    DeleteRecords {
        at: f64,
        checkpoint: bool,
    },
    Retain {
        now_ms: i64,
        retention_ms: i64,
        retention_bytes: i64,
        checkpoint: bool,
    },
    Flush,
    Reopen,
    Kill {
        tail: Tail,
    },
}

/// What a kill leaves behind the last batch.
#[derive(Clone, Debug)]
enum Tail {
    AsItWas,
    /// The first bytes of a batch that was being copied.
    Torn {
        bytes: usize,
    },
    Garbage {
        seed: u8,
    },
    /// What a power cut may do to the page that was written last: everything past the recovery point may go.
    Zeroed {
        at: f64,
    },
    IndexesGone,
}

struct ModelBatch {
    base_offset: i64,
    timestamps: Vec<i64>,
    sent: Bytes,
}

/// What a `.log` file holds, by its name and the batches of the model.
struct ModelSegment {
    base_offset: i64,
    size_bytes: i64,
    largest_timestamp: Option<i64>,
}

struct Harness {
    dir: TempDir,
    log: Option<Log>,
    config: LogConfig,
    /// Those before the start, too.
    batches: Vec<ModelBatch>,
    next_sequence: i32,
    start_offset: i64,
    /// As the data directory has it.
    checkpointed_start: i64,
}

fn operation() -> impl Strategy<Value = Operation> {
    let tail = prop_oneof![
        Just(Tail::AsItWas),
        (1..200_usize).prop_map(|bytes| Tail::Torn { bytes }),
        any::<u8>().prop_map(|seed| Tail::Garbage { seed }),
        (0.0..1.0).prop_map(|at| Tail::Zeroed { at }),
        Just(Tail::IndexesGone),
    ];
    prop_oneof![
        8 => (prop::collection::vec(1000..2000_i64, 1..4), 0..600_usize)
            .prop_map(|(timestamps, value_bytes)| Operation::Append { timestamps, value_bytes }),
        1 => (0..7_usize).prop_map(|back| Operation::Repeat { back }),
        4 => (0.0..1.0, 0..3000_usize, any::<bool>()).prop_map(|(at, max_bytes, at_least_one_batch)| {
            Operation::Read { at, max_bytes, at_least_one_batch }
        }),
        2 => (900..2100_i64).prop_map(|timestamp| Operation::FindTimestamp { timestamp }),
        1 => (0.0..1.0, any::<bool>())
            .prop_map(|(at, checkpoint)| Operation::DeleteRecords { at, checkpoint }),
        2 => (1000..2500_i64, -1..1500_i64, -1..12_000_i64, any::<bool>()).prop_map(
            |(now_ms, retention_ms, retention_bytes, checkpoint)| {
                Operation::Retain { now_ms, retention_ms, retention_bytes, checkpoint }
            }
        ),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Reopen),
        2 => tail.prop_map(|tail| Operation::Kill { tail }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]
    #[test]
    fn a_log_is_a_list_of_batches(
        operations in prop::collection::vec(operation(), 1..60),
        survives_power_cut in any::<bool>(),
    ) {
        let mut harness = Harness::new(survives_power_cut);
        for operation in operations {
            harness.run(operation);
            prop_assert_eq!(harness.log().end_offset(), harness.end_offset());
            prop_assert_eq!(harness.log().start_offset(), harness.start_offset);
        }
        harness.run(Operation::Reopen);
        harness.read_everything();
    }
}

#[test]
fn the_newest_timestamp_is_that_of_a_record_that_is_left() {
    let mut harness = Harness::new(false);
    harness.append(vec![1000, 1000], 0);
    harness.append(vec![1545, 1200, 1000], 0);
    for start_offset in [2, 3, 4, 5] {
        harness.delete_records(start_offset);
        harness.find_timestamp(900);
    }
}

/// Small segments and indexes, so that a short run rolls often; nothing goes by itself.
fn config(survives_power_cut: bool) -> LogConfig {
    let flush_ms = if survives_power_cut { 1000 } else { i64::MAX };
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 300,
        retention_ms: -1,
        flush_ms,
        ..LogConfig::default()
    }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

const CONTEXT: AppendContext =
    AppendContext { leader_epoch: 3, now_ms: 5000, origin: AppendOrigin::Client, verification: None };

impl ModelBatch {
    fn next_offset(&self) -> i64 {
        self.base_offset + self.timestamps.len() as i64
    }
}

fn base_offset(path: &Path) -> i64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn below_start(segments: &[ModelSegment], start_offset: i64) -> usize {
    segments.iter().skip(1).take_while(|next| next.base_offset <= start_offset).count()
}

/// How many go, by Kafka's rules one after the other: below the start, beyond the size, beyond the age.
fn old_segments(segments: &[ModelSegment], start_offset: i64, config: &LogConfig, now_ms: i64) -> usize {
    let mut left = &segments[below_start(segments, start_offset)..];
    let may_go = |left: &[ModelSegment]| left.len() > 1 || left.iter().any(|last| last.size_bytes > 0);
    let size_bytes = |left: &[ModelSegment]| left.iter().map(|segment| segment.size_bytes).sum::<i64>();
    while config.retention_bytes >= 0 && may_go(left) && size_bytes(&left[1..]) >= config.retention_bytes {
        left = &left[1..];
    }
    let is_old = |segment: &ModelSegment| now_ms - segment.largest_timestamp.unwrap() > config.retention_ms;
    while config.retention_ms >= 0 && may_go(left) && is_old(&left[0]) {
        left = &left[1..];
    }
    segments.len() - left.len()
}

impl Harness {
    fn new(survives_power_cut: bool) -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let config = config(survives_power_cut);
        let path = dir.path().join("t-0");
        let log = Log::create(path, topic_partition(), Uuid::nil(), config.clone(), 0).unwrap();
        Harness {
            dir,
            log: Some(log),
            config,
            batches: Vec::new(),
            next_sequence: 0,
            start_offset: 0,
            checkpointed_start: 0,
        }
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Append { timestamps, value_bytes } => self.append(timestamps, value_bytes),
            Operation::Repeat { back } => self.repeat(back),
            Operation::Read { at, max_bytes, at_least_one_batch } => {
                let offset = (at * (self.end_offset() + 2) as f64) as i64;
                self.read(offset, max_bytes, at_least_one_batch);
            }
            Operation::FindTimestamp { timestamp } => self.find_timestamp(timestamp),
            Operation::DeleteRecords { at, checkpoint } => {
                self.delete_records((at * (self.end_offset() + 2) as f64) as i64);
                self.checkpoint_start(checkpoint);
            }
            Operation::Retain { now_ms, retention_ms, retention_bytes, checkpoint } => {
                let retention = LogConfig { retention_ms, retention_bytes, ..self.config.clone() };
                self.retain(&retention, now_ms);
                self.checkpoint_start(checkpoint);
            }
            Operation::Flush => {
                self.log().flush().unwrap();
                assert_eq!(self.log().recovery_point(), self.end_offset());
            }
            Operation::Reopen => {
                let closed = self.log().close().unwrap();
                assert!(!closed.still_mapped);
                self.log = None;
                self.checkpoint_start(true);
                self.open(LogStart::Clean { end_offset: closed.end_offset });
            }
            Operation::Kill { tail } => self.kill(&tail),
        }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, ModelBatch::next_offset).max(self.start_offset)
    }

    fn checkpoint_start(&mut self, checkpoint: bool) {
        if checkpoint {
            self.checkpointed_start = self.start_offset;
        }
    }

    fn delete_records(&mut self, offset: i64) {
        let moved = self.log().advance_start_offset(offset);
        if offset > self.end_offset() {
            assert!(matches!(moved, Err(StartOffsetError::OffsetOutOfRange { .. })));
            return;
        }
        assert_eq!(moved.unwrap(), offset > self.start_offset);
        self.start_offset = self.start_offset.max(offset);
        let below = below_start(&self.segments(), self.start_offset);
        assert_eq!(self.log().drop_segments_below_start().unwrap(), below);
        assert_eq!(below_start(&self.segments(), self.start_offset), 0, "their files are gone");
    }

    fn retain(&mut self, retention: &LogConfig, now_ms: i64) {
        self.log().set_config(retention.clone());
        let before = self.segments();
        let expected = old_segments(&before, self.start_offset, retention, now_ms);
        assert_eq!(self.log().delete_old_segments(now_ms).unwrap(), expected);
        let next_base = before.get(expected).map_or(self.end_offset(), |segment| segment.base_offset);
        self.start_offset = self.start_offset.max(next_base);
        assert_eq!(self.segments()[0].base_offset, next_base, "their files are gone");
        self.log().set_config(self.config.clone());
    }

    fn segments(&self) -> Vec<ModelSegment> {
        let paths = self.files("log");
        let bases: Vec<_> = paths.iter().map(|path| base_offset(path)).collect();
        let behind = bases.iter().skip(1).copied().chain([i64::MAX]);
        let segment = |(&base_offset, next_base)| {
            let range = base_offset..next_base;
            let batches = self.batches.iter().filter(|batch| range.contains(&batch.base_offset));
            ModelSegment {
                base_offset,
                size_bytes: batches.clone().map(|batch| batch.sent.len() as i64).sum(),
                largest_timestamp: batches.flat_map(|batch| batch.timestamps.iter().copied()).max(),
            }
        };
        bases.iter().zip(behind).map(segment).collect()
    }

    fn append(&mut self, timestamps: Vec<i64>, value_bytes: usize) {
        let value: Vec<u8> = (0..value_bytes).map(|at| (at * 7 + self.batches.len()) as u8).collect();
        let mut batch = BatchBuilder::new(Compression::None).with_producer(9, 0, self.next_sequence);
        for &timestamp in &timestamps {
            batch.push(timestamp, None, Some(&value)).unwrap();
        }
        let sent = batch.build().unwrap();
        let outcome = self.log().append(&sent, &CONTEXT).unwrap();
        assert_eq!(outcome.base_offset, self.end_offset());
        assert!(!outcome.duplicate);
        self.next_sequence += timestamps.len() as i32;
        self.batches.push(ModelBatch { base_offset: outcome.base_offset, timestamps, sent });
    }

    fn repeat(&mut self, back: usize) {
        let Some(batch) = self.batches.len().checked_sub(back + 1).map(|at| &self.batches[at]) else {
            return;
        };
        let repeated = self.log().append(&batch.sent, &CONTEXT);
        if back == 0 {
            let outcome = repeated.unwrap();
            assert!(outcome.duplicate);
            assert_eq!(outcome.base_offset, batch.base_offset);
        } else if let Ok(outcome) = repeated {
            assert!(outcome.duplicate && back < 5);
            assert_eq!(outcome.base_offset, batch.base_offset);
        }
    }

    fn read(&self, offset: i64, max_bytes: usize, at_least_one_batch: bool) {
        let read = self.log().read(offset, max_bytes, at_least_one_batch, Isolation::ReadUncommitted);
        if offset < self.start_offset || offset > self.end_offset() {
            assert!(matches!(read, Err(ReadError::OffsetOutOfRange { .. })));
            return;
        }
        let records = read.unwrap().records;
        let from = self.batches.partition_point(|batch| batch.base_offset <= offset).saturating_sub(1);
        let expected = if offset == self.end_offset() { &[] } else { &self.batches[from..] };
        let count = self.compare(&records, expected);
        let first_bytes = expected.first().map_or(0, |batch| batch.sent.len());
        if at_least_one_batch || first_bytes <= max_bytes {
            assert_eq!(count == 0, expected.is_empty());
        }
        assert!(records.len() <= max_bytes || at_least_one_batch && count == 1);
    }

    /// The batches are those that were sent, but for offset and leader epoch. Returns how many there are.
    fn compare(&self, records: &[u8], expected: &[ModelBatch]) -> usize {
        let read: Vec<_> = batch::batches(records).collect::<Result<_, _>>().unwrap();
        for (read, expected) in read.iter().zip(expected) {
            assert_eq!(read.base_offset(), expected.base_offset);
            assert_eq!(read.header().leader_epoch, CONTEXT.leader_epoch);
            assert_eq!(read.bytes()[16..], expected.sent[16..]);
        }
        assert!(read.len() <= expected.len());
        read.len()
    }

    fn find_timestamp(&self, wanted: i64) {
        let records =
            self.batches.iter().flat_map(|batch| (batch.base_offset..).zip(batch.timestamps.iter().copied()));
        let records = records.filter(|(offset, _)| *offset >= self.start_offset);
        let expected = records.clone().find(|(_, timestamp)| *timestamp >= wanted);
        let found = self.log().offset_for_timestamp(wanted, Isolation::ReadUncommitted).unwrap();
        assert_eq!(found.map(|found| (found.offset, found.timestamp)), expected);
        let largest = records.max_by_key(|&(offset, timestamp)| (timestamp, -offset));
        let found = self.log().offset_of_max_timestamp(Isolation::ReadUncommitted).unwrap();
        assert_eq!(found.map(|found| (found.offset, found.timestamp)), largest);
    }

    fn open(&mut self, start: LogStart) {
        let dir = self.dir.path().join("t-0");
        let first_base = self.segments()[0].base_offset;
        self.start_offset = self.checkpointed_start.max(first_base);
        let (log, outcome) =
            Log::open(dir, topic_partition(), self.config.clone(), start, self.checkpointed_start, 0)
                .unwrap();
        // Cut before its start, it begins anew there.
        let begun_anew = outcome.truncation.is_some_and(|cut| cut.offset < self.start_offset);
        self.batches.retain(|batch| !begun_anew && batch.next_offset() <= outcome.end_offset);
        self.next_sequence = self.end_offset() as i32;
        self.log = Some(log);
    }

    fn kill(&mut self, tail: &Tail) {
        let recovery_point = self.log().recovery_point();
        let acknowledged = self.end_offset();
        self.log = None;
        self.damage(tail, recovery_point);
        self.open(LogStart::Unclean { recovery_point });
        let end_offset = self.log().end_offset();
        match tail {
            Tail::Zeroed { .. } => assert!((recovery_point..=acknowledged).contains(&end_offset)),
            _ => assert_eq!(end_offset, acknowledged),
        }
    }

    fn damage(&self, tail: &Tail, recovery_point: i64) {
        let path = self.files("log").pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let base_offset = base_offset(&path);
        let position_of = |offset: i64| {
            let batches =
                self.batches.iter().filter(|batch| (base_offset..offset).contains(&batch.base_offset));
            batches.map(|batch| batch.sent.len()).sum::<usize>()
        };
        let end = position_of(i64::MAX);
        match tail {
            Tail::AsItWas => return,
            Tail::Torn { bytes: torn } => {
                let batch = self.batches.first().map_or(&[][..], |batch| &batch.sent[..]);
                bytes.truncate(end);
                bytes.extend(&batch[..batch.len().saturating_sub(1).min(*torn)]);
            }
            Tail::Garbage { seed } => {
                bytes.truncate(end);
                bytes.extend((0..100_u8).map(|at| at.wrapping_mul(31).wrapping_add(*seed)));
            }
            Tail::Zeroed { at } => {
                let sound = position_of(recovery_point);
                bytes[sound + (at * (end - sound) as f64) as usize..].fill(0);
            }
            Tail::IndexesGone => {
                self.files("index").iter().for_each(|path| fs::remove_file(path).unwrap());
                self.files("timeindex").iter().for_each(|path| fs::remove_file(path).unwrap());
            }
        }
        fs::write(path, bytes).unwrap();
    }

    /// In ascending order.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("t-0")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }

    fn read_everything(&self) {
        let mut offset = self.start_offset;
        while offset < self.end_offset() {
            let read = self.log().read(offset, 1500, true, Isolation::ReadUncommitted).unwrap();
            assert!(read.high_watermark == self.end_offset() && !read.records.is_empty());
            let from = self.batches.partition_point(|batch| batch.next_offset() <= offset);
            let count = self.compare(&read.records, &self.batches[from..]);
            offset = self.batches[from + count - 1].next_offset();
        }
    }
}
