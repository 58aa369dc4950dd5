//! Kafka's `DumpLogSegments` reads the transactions of a log: its markers, `.txnindex` and `.snapshot` files.
#![cfg(unix)]

use bytes::Bytes;
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_storage::{
    AppendContext, AppendOrigin, Log, LogConfig, TopicPartition, TransactionMarker, TransactionOutcome,
    VerificationRequest,
};
use ottla_tests::dump_log::{dump, files};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{Runtime, runtime};
use uuid::Uuid;

const COORDINATOR_EPOCH: i32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn dump_log_segments_reads_transactions() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_transactions(dir.path());

    let log = dump(&files(dir.path(), &["log"]), "--deep-iteration --print-data-log").await;
    log.expect_clean()
        .expect("endTxnMarker: ABORT coordinatorEpoch: 5")
        .expect("endTxnMarker: COMMIT coordinatorEpoch: 5")
        .expect("isTransactional: true");
    let aborted = dump(&files(dir.path(), &["txnindex"]), "").await;
    aborted
        .expect_clean()
        .expect("version: 0 producerId: 1 firstOffset: 0 lastOffset: 6 lastStableOffset: 2")
        .expect("version: 0 producerId: 2 firstOffset: 2 lastOffset: 7 lastStableOffset: 4");
    let newest = files(dir.path(), &["snapshot"]).pop().expect("a snapshot of the closed log");
    let producers = dump(&[newest], "").await;
    producers
        .expect_clean()
        .expect(
            "producerId: 1 producerEpoch: 1 coordinatorEpoch: 5 currentTxnFirstOffset: OptionalLong.empty",
        )
        .expect("producerId: 4 producerEpoch: 0 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong[9]");
}

/// Producers 1 and 2 abort, 3 commits, 4 goes on.
fn write_transactions(data_dir: &std::path::Path) {
    let topic_partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
    let config = LogConfig { segment_bytes: 600, ..LogConfig::default() };
    let dir = data_dir.join("t-0");
    let log = Log::create(dir, topic_partition, Uuid::new_v4(), config, now_ms()).expect("a new log");
    for id in [1, 2, 3] {
        append(&log, id);
    }
    end(&log, 1, TransactionOutcome::Abort);
    end(&log, 2, TransactionOutcome::Abort);
    end(&log, 3, TransactionOutcome::Commit);
    append(&log, 4);
    log.close().expect("the log is closed");
}

fn append(log: &Log, producer_id: i64) {
    let request =
        VerificationRequest { producer_id, producer_epoch: 0, base_sequence: 0, supports_epoch_bump: true };
    let guard = log.start_transaction_verification(request, now_ms()).expect("a producer of this epoch");
    let context = context(AppendOrigin::Client);
    let context = AppendContext { verification: guard, ..context };
    log.append(&batch(producer_id), &context).expect("the transaction is open");
}

fn end(log: &Log, producer_id: i64, outcome: TransactionOutcome) {
    let marker = TransactionMarker {
        producer_id,
        producer_epoch: 1,
        coordinator_epoch: COORDINATOR_EPOCH,
        outcome,
        transaction_version: 2,
    };
    log.append_marker(&marker, &context(AppendOrigin::Coordinator)).expect("the marker is appended");
}

fn batch(producer_id: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None).with_producer(producer_id, 0, 0).transactional();
    for value in [b"one", b"two"] {
        batch.push(now_ms(), Some(b"key"), Some(value)).expect("small records");
    }
    batch.build().expect("a batch of small records")
}

fn context(origin: AppendOrigin) -> AppendContext {
    AppendContext { leader_epoch: 0, now_ms: now_ms(), origin, verification: None }
}
