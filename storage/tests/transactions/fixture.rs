//! A log, and producers that write to it.

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
    AbortedTransaction, AppendContext, AppendError, AppendOrigin, AppendOutcome, Isolation, Log, LogConfig,
    LogStart, MarkerError, ReadOutcome, RecoveryOutcome, SequenceError, TopicPartition, TransactionMarker,
    TransactionOutcome, VerificationGuard, VerificationRequest,
};
use proptest::sample::Index;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const NOW_MS: i64 = 5000;
pub(crate) use ottla_storage::TransactionOutcome::{Abort, Commit};

pub(crate) struct Fixture {
    dir: TempDir,
    log: Option<Log>,
    config: LogConfig,
}

/// What a producer is about to send: `count` records from `base_sequence` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
    pub(crate) transactional: bool,
    pub(crate) timestamp: i64,
}

/// One of a producer's transaction.
pub(crate) fn in_transaction(id: i64, epoch: i16, base_sequence: i32, count: i32) -> Batch {
    Batch { id, epoch, base_sequence, count, transactional: true, timestamp: 1000 }
}

/// One of an idempotent producer.
pub(crate) fn plain(id: i64, epoch: i16, base_sequence: i32, count: i32) -> Batch {
    Batch { transactional: false, ..in_transaction(id, epoch, base_sequence, count) }
}

pub(crate) fn marker(id: i64, epoch: i16, outcome: TransactionOutcome) -> TransactionMarker {
    TransactionMarker {
        producer_id: id,
        producer_epoch: epoch,
        coordinator_epoch: 0,
        outcome,
        transaction_version: 2,
    }
}

pub(crate) fn aborted(producer_id: i64, first_offset: i64) -> AbortedTransaction {
    AbortedTransaction { producer_id, first_offset }
}

impl Batch {
    pub(crate) fn bytes(&self) -> Bytes {
        let Batch { id, epoch, base_sequence, count, transactional, timestamp } = *self;
        let mut batch = BatchBuilder::new(Compression::None).with_producer(id, epoch, base_sequence);
        if transactional {
            batch = batch.transactional();
        }
        (0..count).for_each(|i| batch.push(timestamp + i64::from(i), None, Some(&id.to_be_bytes())).unwrap());
        batch.build().unwrap()
    }

    pub(crate) fn last_sequence(&self) -> i32 {
        self.base_sequence + self.count - 1
    }

    fn request(&self) -> VerificationRequest {
        VerificationRequest {
            producer_id: self.id,
            producer_epoch: self.epoch,
            base_sequence: self.base_sequence,
            supports_epoch_bump: true,
        }
    }
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with(LogConfig::default())
    }

    pub(crate) fn with(config: LogConfig) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::create(dir.path().join("t-0"), topic_partition(), Uuid::nil(), config.clone(), NOW_MS);
        Fixture { dir, log: Some(log.unwrap()), config }
    }

    /// Segments of a few batches each.
    pub(crate) fn with_small_segments() -> Fixture {
        Fixture::with(LogConfig { segment_bytes: 400, ..LogConfig::default() })
    }

    pub(crate) fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    /// Asks about the transaction if that is needed, is told that it is open, and appends.
    pub(crate) fn append(&self, batch: Batch) -> Result<AppendOutcome, AppendError> {
        let guard = if batch.transactional { self.verify(batch)? } else { None };
        self.append_with(batch, guard)
    }

    pub(crate) fn append_with(
        &self,
        batch: Batch,
        verification: Option<VerificationGuard>,
    ) -> Result<AppendOutcome, AppendError> {
        self.log().append(&batch.bytes(), &context(AppendOrigin::Client, verification))
    }

    pub(crate) fn append_as_coordinator(
        &self,
        batch: Batch,
        verification: Option<VerificationGuard>,
    ) -> Result<AppendOutcome, AppendError> {
        self.log().append(&batch.bytes(), &context(AppendOrigin::Coordinator, verification))
    }

    pub(crate) fn verify(&self, batch: Batch) -> Result<Option<VerificationGuard>, AppendError> {
        self.log().start_transaction_verification(batch.request(), NOW_MS)
    }

    pub(crate) fn end(&self, marker: TransactionMarker) -> Result<AppendOutcome, MarkerError> {
        self.log().append_marker(&marker, &context(AppendOrigin::Coordinator, None))
    }

    pub(crate) fn read(&self, offset: i64, isolation: Isolation) -> ReadOutcome {
        self.log().read(offset, usize::MAX, true, isolation).unwrap()
    }

    pub(crate) fn read_committed(&self, offset: i64) -> ReadOutcome {
        self.read(offset, Isolation::ReadCommitted)
    }

    pub(crate) fn stable(&self) -> i64 {
        self.log().last_stable_offset().unwrap()
    }

    pub(crate) fn path(&self, offset: i64, extension: &str) -> PathBuf {
        self.dir.path().join("t-0").join(format!("{offset:020}.{extension}"))
    }

    pub(crate) fn has_any(&self, extension: &str) -> bool {
        !self.files(extension).is_empty()
    }

    pub(crate) fn restart(&mut self) -> RecoveryOutcome {
        let start = self.close();
        self.open(start)
    }

    pub(crate) fn close(&mut self) -> LogStart {
        let end_offset = self.log.take().unwrap().close().unwrap().end_offset;
        LogStart::Clean { end_offset }
    }

    /// Ends without closing, as after a kill, and starts again.
    pub(crate) fn kill(&mut self) -> RecoveryOutcome {
        let recovery_point = self.stop();
        self.open(LogStart::Unclean { recovery_point })
    }

    #[cfg(feature = "faults")]
    pub(crate) fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Goes on with what a power cut leaves.
    #[cfg(feature = "faults")]
    pub(crate) fn lose_power(&mut self, disk: &ottla_storage::faults::FaultyDisk) {
        let left = tempfile::tempdir().unwrap();
        disk.cut_power(left.path()).unwrap();
        self.log = None;
        self.dir = left;
    }

    /// Opens a log that was closed.
    #[cfg(feature = "faults")]
    pub(crate) fn reopen(&mut self, start: LogStart) {
        self.log = None;
        self.open(start);
    }

    /// Ends without closing, and says from where on the next start has to look.
    pub(crate) fn stop(&mut self) -> i64 {
        let recovery_point = self.log().recovery_point();
        self.log = None;
        recovery_point
    }

    /// The last segment's log and its base offset.
    pub(crate) fn last_log(&self) -> (PathBuf, i64) {
        self.files("log").pop().unwrap()
    }

    /// Cuts a log behind its first `count` batches.
    pub(crate) fn keep_batches(&self, log: &Path, count: usize) {
        let bytes = fs::read(log).unwrap();
        let kept: usize = batch::batches(&bytes).take(count).map(|batch| batch.unwrap().size_bytes()).sum();
        fs::OpenOptions::new().write(true).open(log).unwrap().set_len(kept as u64).unwrap();
    }

    /// Makes one of the `.txnindex` files unreadable, or removes it if the log has to be read from there on anyway.
    pub(crate) fn damage_index(&self, which: Index, missing: bool) {
        let indexes = self.files("txnindex");
        if indexes.is_empty() {
            return;
        }
        let (path, base_offset) = which.get(&indexes);
        let has_snapshot_behind = self.files("snapshot").iter().any(|(_, offset)| offset > base_offset);
        if missing && !has_snapshot_behind {
            fs::remove_file(path).unwrap();
        } else {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }
    }

    /// By offset.
    fn files(&self, extension: &str) -> Vec<(PathBuf, i64)> {
        let files = self.dir.path().join("t-0").read_dir().unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|found| found == extension));
        let mut files: Vec<_> = files
            .map(|path| {
                let offset = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                (path, offset)
            })
            .collect();
        files.sort_by_key(|(_, offset)| *offset);
        files
    }

    pub(crate) fn open(&mut self, start: LogStart) -> RecoveryOutcome {
        let dir = self.dir.path().join("t-0");
        let opened = Log::open(dir, topic_partition(), self.config.clone(), start, 0, NOW_MS);
        let (log, outcome) = opened.unwrap();
        self.log = Some(log);
        outcome
    }
}

/// Base offset and number of records of each batch.
pub(crate) fn layout(records: &[u8]) -> Vec<(i64, i32)> {
    let batches = batch::batches(records).map(|batch| *batch.unwrap().header());
    batches.map(|header| (header.base_offset, header.records_count)).collect()
}

pub(crate) fn sequence_error(outcome: Result<AppendOutcome, AppendError>) -> SequenceError {
    match outcome {
        Err(AppendError::Sequence(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn context(origin: AppendOrigin, verification: Option<VerificationGuard>) -> AppendContext {
    AppendContext { leader_epoch: 0, now_ms: NOW_MS, origin, verification }
}

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}
