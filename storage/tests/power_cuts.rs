//! What is left of a log with `flush.ms` when the power is cut: what was synced, and of the rest its beginning.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, Isolation, Log, LogConfig, LogStart, LogStopped,
    TopicPartition,
    faults::{Fault, FaultyDisk},
};
use tempfile::TempDir;
use uuid::Uuid;

const SEEDS: u64 = 24;
const BATCHES_PER_SEGMENT: i64 = 8;
/// A page, so that each batch is lost or not, and what comes back from an earlier time would fit.
const BATCH_BYTES: u32 = 4_096;
const VALUE_BYTES: usize = 4_026;
const UNKNOWN: LogStart = LogStart::Unclean { recovery_point: 0 };

struct Fixture {
    root: TempDir,
    dir: PathBuf,
    disk: FaultyDisk,
    log: Option<Log>,
    /// What the record at each offset is filled with.
    model: Vec<u8>,
    seed: u64,
}

impl Fixture {
    fn new(config: LogConfig, seed: u64) -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("life-0");
        std::fs::create_dir(&dir).unwrap();
        let disk = FaultyDisk::watch(&dir, seed);
        let log = Log::create(dir.join("t-0"), topic_partition(), Uuid::nil(), config, 0).unwrap();
        Fixture { root, dir, disk, log: Some(log), model: Vec::new(), seed }
    }

    fn append(&mut self, fill: u8) -> Result<(), AppendError> {
        let context =
            AppendContext { leader_epoch: 0, now_ms: 0, origin: AppendOrigin::Client, verification: None };
        let appended = self.log().append(&batch(fill), &context)?;
        assert_eq!(appended.base_offset, self.model.len() as i64);
        self.model.push(fill);
        Ok(())
    }

    fn append_many(&mut self, count: usize, fill: u8) {
        (0..count).for_each(|_| self.append(fill).unwrap());
    }

    /// Goes on with what is left, after it was compared with what must be.
    fn cut_power(&mut self) {
        let synced = self.log().synced_offset() as usize;
        self.go_on_with_what_is_left();
        let found = self.records();
        assert!(found.len() >= synced, "{} records are left, {synced} were synced", found.len());
        assert!(self.model.starts_with(&found), "{found:?} is left of {:?}", self.model);
        self.model = found;
    }

    fn go_on_with_what_is_left(&mut self) {
        self.seed += 1_000;
        let left = self.root.path().join(format!("life-{}", self.seed));
        self.disk.cut_power(&left).unwrap();
        self.disk = FaultyDisk::watch(&left, self.seed);
        self.dir = left;
        self.open();
    }

    fn open(&mut self) {
        // As after a kill: it is not closed.
        self.log = None;
        let (dir, config) = (self.dir.join("t-0"), flushed_within_a_second());
        let (log, _) = Log::open(dir, topic_partition(), config, UNKNOWN, 0, 0).unwrap();
        self.log = Some(log);
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    /// What the records are filled with, from the log start on. None is missing.
    fn records(&self) -> Vec<u8> {
        let mut found = Vec::new();
        for offset in self.log().start_offset()..self.log().end_offset() {
            let records = self.log().read(offset, 1, true, Isolation::ReadUncommitted).unwrap().records;
            let batch = batch::batches(&records).next().expect("a record at each offset").unwrap();
            assert_eq!(batch.base_offset(), offset);
            batch.verify_crc().unwrap();
            // Behind it are the record's headers, of which there are none.
            found.push(batch.bytes()[BATCH_BYTES as usize - 2]);
        }
        found
    }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

fn never_flushed() -> LogConfig {
    LogConfig { segment_bytes: BATCHES_PER_SEGMENT as u32 * BATCH_BYTES, ..LogConfig::default() }
}

fn flushed_within_a_second() -> LogConfig {
    LogConfig { flush_ms: 1_000, ..never_flushed() }
}

fn batch(fill: u8) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1_000, None, Some(&[fill; VALUE_BYTES])).unwrap();
    let batch = batch.build().unwrap();
    assert_eq!(batch.len(), BATCH_BYTES as usize);
    batch
}

/// With each seed another part of what was not synced is lost.
fn with_each_seed(config: &LogConfig, check: impl Fn(Fixture)) {
    if FaultyDisk::CUTS_POWER {
        (0..SEEDS).for_each(|seed| check(Fixture::new(config.clone(), seed)));
    }
}

#[test]
fn after_a_power_cut_nothing_follows_a_gap_however_many_segments_were_not_synced() {
    with_each_seed(&flushed_within_a_second(), |mut fixture| {
        fixture.append_many(10, 1);
        fixture.log().sync().unwrap();
        fixture.append_many(20, 2);
        fixture.cut_power();
        fixture.append_many(20, 3);
        fixture.cut_power();
    });
}

#[test]
fn the_end_of_a_segment_is_on_the_disk_before_the_next_one_begins() {
    with_each_seed(&flushed_within_a_second(), |mut fixture| {
        fixture.append_many(BATCHES_PER_SEGMENT as usize + 1, 1);
        assert_eq!(fixture.log().synced_offset(), BATCHES_PER_SEGMENT);
        fixture.cut_power();
    });
}

#[test]
fn segments_that_were_rolled_without_a_promise_are_synced_when_there_is_one() {
    with_each_seed(&never_flushed(), |mut fixture| {
        fixture.append_many(20, 1);
        assert_eq!(fixture.log().synced_offset(), 0);
        fixture.log().set_config(flushed_within_a_second());
        assert_eq!(fixture.log().synced_offset(), 20);
    });
}

#[test]
fn records_that_a_power_cut_took_do_not_come_back_behind_later_ones() {
    with_each_seed(&flushed_within_a_second(), |mut fixture| {
        for fill in 1..5 {
            fixture.append_many(3, fill);
            fixture.log().sync().unwrap();
            fixture.append_many(3, 10 * fill);
            fixture.cut_power();
            fixture.append_many(1, fill);
            fixture.log().sync().unwrap();
            fixture.cut_power();
        }
    });
}

#[test]
fn what_a_kill_has_left_is_on_the_disk_before_the_log_is_used() {
    with_each_seed(&flushed_within_a_second(), |mut fixture| {
        fixture.append_many(20, 1);
        fixture.open();
        assert_eq!(fixture.log().synced_offset(), 20);
        fixture.cut_power();
        assert_eq!(fixture.model.len(), 20);
    });
}

#[test]
fn what_retention_drops_goes_in_order_also_when_the_power_is_cut() {
    with_each_seed(&LogConfig { retention_ms: 5_000, ..flushed_within_a_second() }, |mut fixture| {
        fixture.append_many(30, 1);
        fixture.log().sync().unwrap();
        fixture.disk.fault_after(fixture.seed, Fault::Kill);
        let _ = fixture.log().delete_old_segments(10_000);
        fixture.go_on_with_what_is_left();
        assert_eq!(fixture.log().end_offset(), 30);
        assert_eq!(fixture.records().len() as i64, 30 - fixture.log().start_offset());
    });
}

#[test]
fn a_roll_whose_sync_fails_ends_the_log() {
    let mut failed_syncs = 0;
    for operations in 0..60 {
        let mut fixture = Fixture::new(flushed_within_a_second(), operations);
        fixture.disk.fault_after(operations, Fault::Kill);
        let outcome = (0..=BATCHES_PER_SEGMENT).try_for_each(|_| fixture.append(1));
        if fixture.disk.trace().lines().last().is_some_and(is_sync) && outcome.is_err() {
            failed_syncs += 1;
            assert!(
                matches!(fixture.append(1), Err(AppendError::Stopped(LogStopped::DiskFailed))),
                "{}",
                fixture.disk.trace()
            );
        }
    }
    assert!(failed_syncs >= 1);
}

fn is_sync(traced: &str) -> bool {
    let log = Path::new(traced.trim()).extension().is_some_and(|extension| extension == "log");
    traced.trim().starts_with("Sync ") && log
}
