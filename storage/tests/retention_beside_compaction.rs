//! A compaction that goes on while retention, DeleteRecords and appends change the log under it (`compact,delete`).
#![allow(clippy::disallowed_methods)]

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
};

use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{
    AppendContext, AppendOrigin, CompactionError, CompactionOutcome, CompactionPolicy, CompactionRequest,
    Isolation, Log, LogConfig, LogStart, ReplaceError, TopicPartition,
};
use tempfile::TempDir;
use uuid::Uuid;

const KEYS: i64 = 40;
const RECORDS: i64 = 300;
/// The records' timestamps are their offsets, so that this is behind all of them.
const NOW_MS: i64 = 1_000_000;

/// What comes between two steps of a compaction.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// What lies before an offset is too old.
    Retention {
        before: i64,
    },
    DeleteRecords {
        before: i64,
    },
}

struct Harness {
    dir: TempDir,
    log: Option<Log>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 50_000,
        compacted: true,
        deletes: true,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

impl Harness {
    /// Each key several times, over some segments.
    fn new() -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("t-0"), topic_partition(), Uuid::nil(), config(), 0).unwrap();
        let harness = Harness { dir, log: Some(log) };
        (0..RECORDS).for_each(|offset| append(harness.log(), offset % KEYS));
        harness
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn compact(&self, pace: &dyn Fn(usize) -> ControlFlow<()>) -> Result<CompactionOutcome, CompactionError> {
        let policy = CompactionPolicy::default();
        self.log().compact(&CompactionRequest { policy, now_ms: NOW_MS, max_map_bytes: 1 << 20, pace })
    }

    /// With `change` in its `step`. Says whether it came to that.
    fn compact_with(&self, step: usize, change: Change) -> bool {
        let steps = Cell::new(0);
        let outcome = self.compact(&|_| {
            if steps.replace(steps.get() + 1) == step {
                change.apply(self.log());
            }
            ControlFlow::Continue(())
        });
        match outcome {
            Ok(_) | Err(CompactionError::Replace(ReplaceError::Changed { .. })) => {}
            Err(error) => panic!("{error}"),
        }
        steps.get() > step
    }

    /// As after a kill that took the checkpoint of the log start along.
    fn kill(&mut self) {
        let recovery_point = self.log().recovery_point();
        self.log = None;
        let start = LogStart::Unclean { recovery_point };
        let dir = self.dir.path().join("t-0");
        let (log, outcome) = Log::open(dir, topic_partition(), config(), start, 0, NOW_MS).unwrap();
        assert_eq!(outcome.truncation, None);
        self.log = Some(log);
    }

    /// The offsets of each key, fetched as a consumer does.
    fn offsets(&self) -> BTreeMap<i64, BTreeSet<i64>> {
        let log = self.log();
        let first = log.start_offset();
        let (mut offset, mut found) = (first, BTreeMap::<_, BTreeSet<_>>::new());
        while offset < log.end_offset() {
            let records = log.read(offset, 10_000, true, Isolation::ReadUncommitted).unwrap().records;
            assert!(!records.is_empty(), "nothing to go on with at {offset}");
            for batch in batch::batches(&records).map(Result::unwrap) {
                batch.verify_crc().unwrap();
                for record in batch.records(1 << 20).unwrap().iter().map(Result::unwrap) {
                    let key = i64::from_be_bytes(record.key.unwrap().try_into().unwrap());
                    found.entry(key).or_default().extend(Some(record.offset).filter(|at| *at >= first));
                }
                offset = batch.header().next_offset();
            }
        }
        found
    }

    /// The newest record of each key is there, if it is not before the start.
    fn expect_live_keys(&self) {
        let (start, end) = (self.log().start_offset(), self.log().end_offset());
        let found = self.offsets();
        for last in (end - KEYS).max(start)..end {
            let key = last % KEYS;
            assert!(
                found[&key].contains(&last),
                "key {key} has lost its record at {last}: {:?}",
                found[&key]
            );
        }
    }

    fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("t-0")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn bases(&self) -> Vec<i64> {
        let names = self.file_names();
        names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
    }
}

impl Change {
    /// An append comes with it, too.
    fn apply(self, log: &Log) {
        match self {
            Change::Retention { before } => {
                log.set_config(LogConfig { retention_ms: NOW_MS - before, ..config() });
                log.delete_old_segments(NOW_MS).unwrap();
                log.set_config(config());
            }
            Change::DeleteRecords { before } => {
                log.advance_start_offset(before).unwrap();
                log.drop_segments_below_start().unwrap();
            }
        }
        append(log, log.end_offset() % KEYS);
    }
}

fn append(log: &Log, key: i64) {
    let timestamp = log.end_offset();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(timestamp, Some(&key.to_be_bytes()), Some(&[7; 1000])).unwrap();
    let origin = AppendOrigin::Client;
    let context = AppendContext { leader_epoch: 0, now_ms: timestamp, origin, verification: None };
    log.append(&batch.build().unwrap(), &context).unwrap();
}

/// Tries `change` in each step of a compaction.
fn expect_nothing_lost_or_brought_back(change: Change) {
    for step in 0.. {
        let mut harness = Harness::new();
        let was_changed = harness.compact_with(step, change);
        let context = format!("{change:?} in step {step}");
        let start = harness.log().start_offset();
        harness.expect_live_keys();
        // The segment that holds the start may begin before it.
        let is_below = |bases: &[i64]| bases.get(1).is_some_and(|second| *second <= start);
        assert!(!is_below(&harness.bases()), "{context}: {:?}, start {start}", harness.bases());

        let first_base = harness.bases()[0];
        harness.kill();
        assert_eq!(harness.bases()[0], first_base, "{context}");
        assert!(harness.log().start_offset() >= first_base, "{context}");
        harness.expect_live_keys();

        harness.compact(&|_| ControlFlow::Continue(())).unwrap();
        harness.expect_live_keys();
        assert_eq!(harness.bases()[0], first_base, "{context}");
        let left = harness.file_names();
        assert!(!left.iter().any(|name| name.contains(".cleaned") || name.contains(".swap")), "{left:?}");
        if !was_changed {
            assert!(step > 5, "only {step} steps");
            return;
        }
    }
}

#[test]
fn retention_beside_a_compaction_takes_no_live_key_and_what_it_takes_stays_gone() {
    let bases = Harness::new().bases();
    assert!(bases.len() > 5, "{bases:?}");
    for &before in &bases[1..] {
        expect_nothing_lost_or_brought_back(Change::Retention { before });
    }
}

#[test]
fn retention_beside_a_compaction_may_take_the_whole_log() {
    expect_nothing_lost_or_brought_back(Change::Retention { before: RECORDS });
}

#[test]
fn records_are_deleted_beside_a_compaction() {
    let bases = Harness::new().bases();
    for before in [bases[1], bases[2] + 7, bases[4] - 1, *bases.last().unwrap() + 3, RECORDS] {
        expect_nothing_lost_or_brought_back(Change::DeleteRecords { before });
    }
}
