//! Compaction of a log, compared with a model; reads, look-ups and starts on what it leaves.
#![allow(clippy::disallowed_methods)]

use std::{collections::HashMap, fs, ops::ControlFlow};

use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{
    AppendContext, AppendOrigin, CompactionError, CompactionOutcome, CompactionPolicy, CompactionRequest,
    Isolation, Log, LogConfig, LogStart, TopicPartition,
    faults::{Fault, FaultyDisk},
};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

const DELETE_RETENTION_MS: i64 = 1000;
const LARGE_MAP_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelRecord {
    offset: i64,
    key: u8,
    value: Option<Vec<u8>>,
    timestamp: i64,
}

struct Harness {
    dir: TempDir,
    log: Option<Log>,
    model: Vec<ModelRecord>,
    /// Of the batch that begins at an offset.
    horizons: HashMap<i64, i64>,
    batches: Vec<i64>,
    now_ms: i64,
}

/// Small segments, so that a short run rolls often.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 1200, index_interval_bytes: 200, compacted: true, ..LogConfig::default() }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

fn policy() -> CompactionPolicy {
    CompactionPolicy { delete_retention_ms: DELETE_RETENTION_MS, ..CompactionPolicy::default() }
}

impl Harness {
    fn new() -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("t-0"), topic_partition(), Uuid::nil(), config(), 0).unwrap();
        Harness {
            dir,
            log: Some(log),
            model: Vec::new(),
            horizons: HashMap::new(),
            batches: Vec::new(),
            now_ms: 1_000_000,
        }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    /// A batch of records, each with a key and whether it has a value.
    fn append(&mut self, records: &[(u8, bool)], compression: Compression) {
        self.now_ms += 1;
        let base_offset = self.log().end_offset();
        let mut batch = BatchBuilder::new(compression);
        for (&(key, has_value), offset) in records.iter().zip(base_offset..) {
            let value = has_value.then(|| format!("value {offset:030}").into_bytes());
            // Not in the order of the offsets.
            let timestamp = self.now_ms + i64::from(key) * 7;
            batch.push(timestamp, Some(&[key]), value.as_deref()).unwrap();
            self.model.push(ModelRecord { offset, key, value, timestamp });
        }
        let context = AppendContext {
            leader_epoch: 0,
            now_ms: self.now_ms,
            origin: AppendOrigin::Coordinator,
            verification: None,
        };
        self.log().append(&batch.build().unwrap(), &context).unwrap();
        self.batches.push(base_offset);
    }

    /// A record that the model does not know.
    fn append_raw(&self, key: &[u8], value: &[u8]) {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(0, Some(key), Some(value)).unwrap();
        let origin = AppendOrigin::Coordinator;
        let context = AppendContext { leader_epoch: 0, now_ms: 0, origin, verification: None };
        self.log().append(&batch.build().unwrap(), &context).unwrap();
    }

    /// Where a record is, if each batch has one.
    fn offsets(&self) -> Vec<i64> {
        let mut offset = 0;
        let mut offsets = Vec::new();
        while offset < self.log().end_offset() {
            let read = self.log().read(offset, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
            for batch in batch::batches(&read.records) {
                let header = *batch.unwrap().header();
                offset = header.next_offset();
                offsets.extend((header.records_count > 0).then_some(header.base_offset));
            }
        }
        offsets
    }

    fn compact(&mut self, max_map_bytes: usize) -> Result<CompactionOutcome, CompactionError> {
        let request = CompactionRequest {
            policy: policy(),
            now_ms: self.now_ms,
            max_map_bytes,
            pace: &|_| ControlFlow::Continue(()),
        };
        self.log().compact(&request)
    }

    fn batch_of(&self, offset: i64) -> i64 {
        self.batches[self.batches.partition_point(|&base| base <= offset) - 1]
    }

    /// What a compaction up to `bound` leaves.
    fn compact_model(&mut self, bound: i64) {
        let below = |record: &&ModelRecord| record.offset < bound;
        let last: HashMap<u8, i64> =
            self.model.iter().filter(below).map(|record| (record.key, record.offset)).collect();
        let mut model = std::mem::take(&mut self.model);
        model.retain(|record| {
            let horizon = self.horizons.get(&self.batch_of(record.offset));
            let may_stay = record.value.is_some() || horizon.is_none_or(|&horizon| horizon > self.now_ms);
            record.offset >= bound || last[&record.key] == record.offset && may_stay
        });
        self.model = model;
        for tombstone in self.model.iter().filter(|r| r.offset < bound && r.value.is_none()) {
            let horizon = self.now_ms + DELETE_RETENTION_MS;
            self.horizons.entry(self.batch_of(tombstone.offset)).or_insert(horizon);
        }
    }

    fn reopen(&mut self, clean: bool) {
        let start = if clean {
            LogStart::Clean { end_offset: self.log().close().unwrap().end_offset }
        } else {
            LogStart::Unclean { recovery_point: self.log().recovery_point() }
        };
        self.log = None;
        self.open(start);
    }

    fn open(&mut self, start: LogStart) {
        let dir = self.dir.path().join("t-0");
        let (log, outcome) = Log::open(dir, topic_partition(), config(), start, 0, self.now_ms).unwrap();
        assert_eq!(outcome.truncation, None);
        self.log = Some(log);
    }

    /// Everything from `offset` on, fetched as a consumer does.
    fn read_from(&self, mut offset: i64, max_bytes: usize) -> Vec<ModelRecord> {
        let mut found = Vec::new();
        let first = offset;
        while offset < self.log().end_offset() {
            let read = self.log().read(offset, max_bytes, true, Isolation::ReadCommitted).unwrap();
            assert!(!read.records.is_empty(), "nothing to go on with at {offset}");
            for batch in batch::batches(&read.records) {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                for record in &batch.records(1 << 20).unwrap() {
                    let record = record.unwrap();
                    found.push(ModelRecord {
                        offset: record.offset,
                        key: record.key.unwrap()[0],
                        value: record.value.map(<[u8]>::to_vec),
                        timestamp: record.timestamp,
                    });
                }
                offset = batch.header().next_offset();
            }
        }
        found.retain(|record| record.offset >= first);
        found
    }

    fn check(&self) {
        let end = self.log().end_offset();
        for offset in 0..=end {
            let expected: Vec<_> = self.model.iter().filter(|r| r.offset >= offset).cloned().collect();
            assert_eq!(self.read_from(offset, 300), expected, "from {offset}");
        }
        for record in self.model.iter().step_by(3) {
            let found =
                self.log().offset_for_timestamp(record.timestamp, Isolation::ReadUncommitted).unwrap();
            let expected = self.model.iter().find(|r| r.timestamp >= record.timestamp);
            assert_eq!(found.map(|found| found.offset), expected.map(|r| r.offset), "{}", record.timestamp);
        }
    }

    fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("t-0")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Append { records: Vec<(u8, bool)>, compression: usize },
    Compact { after_ms: i64 },
    Reopen { clean: bool },
    Flush,
}

fn operation() -> impl Strategy<Value = Operation> {
    let record = (0..8_u8, prop::bool::weighted(0.8));
    prop_oneof![
        8 => (prop::collection::vec(record, 1..6), 0..5_usize)
            .prop_map(|(records, compression)| Operation::Append { records, compression }),
        2 => (0..1500_i64).prop_map(|after_ms| Operation::Compact { after_ms }),
        1 => any::<bool>().prop_map(|clean| Operation::Reopen { clean }),
        1 => Just(Operation::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]
    #[test]
    fn the_last_record_of_each_key_is_read_from_any_offset(operations in prop::collection::vec(operation(), 1..50)) {
        let mut harness = Harness::new();
        for operation in operations {
            match operation {
                Operation::Append { records, compression } => {
                    harness.append(&records, Compression::ALL[compression]);
                }
                Operation::Compact { after_ms } => {
                    harness.now_ms += after_ms;
                    let before = harness.log().cleaned_to();
                    let outcome = harness.compact(LARGE_MAP_BYTES).unwrap();
                    if Some(outcome.cleaned_to) > before.or(Some(0)) {
                        harness.compact_model(outcome.cleaned_to);
                    }
                    harness.check();
                }
                Operation::Reopen { clean } => {
                    harness.reopen(clean);
                    harness.check();
                }
                Operation::Flush => harness.log().flush().unwrap(),
            }
        }
        harness.check();
    }
}

#[test]
fn a_map_that_is_too_small_takes_several_rounds() {
    const KEYS: i64 = 1500;
    let mut harness = Harness::new();
    harness.log().set_config(LogConfig { segment_bytes: 20_000, ..config() });
    (0..2 * KEYS).for_each(|offset| harness.append_raw(&(offset % KEYS).to_be_bytes(), b"v"));
    let mut rounds = 0;
    let mut cleaned_to = 0;
    while let Ok(outcome) = harness.compact(0)
        && outcome.cleaned_to > cleaned_to
    {
        cleaned_to = outcome.cleaned_to;
        rounds += 1;
    }
    assert!(rounds > 2, "{rounds}");
    let expected: Vec<i64> = (cleaned_to - KEYS..2 * KEYS).collect();
    assert!(harness.offsets() == expected, "{:?}", harness.offsets());
}

#[test]
fn a_log_that_is_clean_is_looked_at_and_left_alone() {
    let mut harness = Harness::new();
    (0..40).for_each(|key| harness.append(&[(key, true)], Compression::None));
    assert!(harness.log().dirtiness(&policy(), harness.now_ms).unwrap().is_worth_it);
    let first = harness.compact(LARGE_MAP_BYTES).unwrap();
    assert!(first.records_read > 30 && first.records_kept == first.records_read, "{first:?}");
    let names = harness.file_names();
    assert!(!harness.log().dirtiness(&policy(), harness.now_ms).unwrap().is_worth_it);
    let second = harness.compact(LARGE_MAP_BYTES).unwrap();
    assert_eq!((second.written_bytes, second.cleaned_to), (0, first.cleaned_to));
    assert_eq!(harness.file_names(), names);
}

#[test]
fn a_damaged_batch_ends_the_compaction_and_nothing_is_changed() {
    let mut harness = Harness::new();
    (0..60).for_each(|at| harness.append(&[(at % 3, true)], Compression::None));
    let path = harness.dir.path().join("t-0").join("00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[90] ^= 1;
    fs::write(&path, &bytes).unwrap();
    harness.log().flush().unwrap();
    let before = harness.file_names();
    let error = harness.compact(LARGE_MAP_BYTES).unwrap_err();
    assert!(matches!(&error, CompactionError::Damaged { position: 0, .. }), "{error}");
    assert_eq!(harness.file_names(), before);
}

#[test]
fn a_compaction_that_is_told_to_end_leaves_the_log_as_it_was() {
    let mut harness = Harness::new();
    (0..150_u8).for_each(|at| harness.append_raw(&[at % 7], &[b'v'; 900]));
    harness.log().flush().unwrap();
    let before = harness.file_names();
    let request = CompactionRequest {
        policy: policy(),
        now_ms: harness.now_ms,
        max_map_bytes: LARGE_MAP_BYTES,
        pace: &|_| ControlFlow::Break(()),
    };
    assert!(matches!(harness.log().compact(&request), Err(CompactionError::Interrupted)));
    assert_eq!(harness.file_names(), before);
    let size_bytes = harness.log().size_bytes();
    harness.compact(LARGE_MAP_BYTES).unwrap();
    assert!(harness.log().size_bytes() < size_bytes / 10);
}

/// Whatever the compaction was about to do: the next start finds the records from before it or those from after it, and
/// so does the next compaction.
#[test]
fn a_kill_at_any_file_operation_of_a_compaction_loses_nothing() {
    for after in 0.. {
        let mut harness = Harness::new();
        (0..24).for_each(|at| harness.append(&[(at % 5, at % 4 != 3), (at % 3, true)], Compression::None));
        harness.log().flush().unwrap();
        let before = harness.model.clone();
        let disk = FaultyDisk::watch(harness.dir.path(), after);
        disk.fault_after(after, Fault::Kill);
        let outcome = harness.compact(LARGE_MAP_BYTES);
        let was_killed = disk.is_dead();
        let trace = disk.trace();
        // The lease of a file that a dead process cannot remove goes with it.
        let end_offset = harness.log().recovery_point();
        harness.log = None;
        drop(disk);
        harness.open(LogStart::Unclean { recovery_point: end_offset });
        let bound = outcome.map_or(i64::MAX, |outcome| outcome.cleaned_to);
        let last = |key: u8| before.iter().rfind(|record| record.key == key).map(|record| record.offset);
        let left = harness.read_from(0, 300);
        assert!(left.iter().all(|record| before.contains(record)), "killed after {after}:{trace}");
        assert!(
            (0..5).all(|key| left.iter().any(|record| Some(record.offset) == last(key))),
            "{after}:{trace}"
        );

        let outcome = harness.compact(LARGE_MAP_BYTES).unwrap();
        harness.compact_model(outcome.cleaned_to);
        harness.check();
        if !was_killed {
            assert!(after > 30 && bound < i64::MAX, "only {after} operations");
            return;
        }
    }
}
