//! Transactions that outlive the broker: how long they stay open, and what a compacted `__transaction_state` keeps.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ottla_broker::{Broker, Clock, Config};
use ottla_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, FetchRequest, ListTransactionsRequest,
};
use tempfile::TempDir;

use crate::compaction::size_bytes;
use crate::fixture::{create_topic, fetch_request, start_with};
use crate::transactional_producer::TransactionalProducer;
use crate::transactions::state;
use crate::wire::Wire;

const OK: i16 = 0;

#[tokio::test]
async fn what_an_earlier_run_has_left_open_times_out_counted_from_its_start() {
    for stop in [Stop::Clean, Stop::Kill] {
        let dir = tempfile::tempdir().unwrap();
        let began_ms = Clock::system().now_ms();
        let next_dir = open_transaction_in(dir.path(), began_ms, stop).await;
        // 50 of its 60 seconds are over; the first look comes 10 seconds after the start, and the transaction is not late
        // until they are over.
        let clock = Clock::manual(began_ms + 50_000);
        let (broker, mut wire) = start_with(in_dir(next_dir.path(), &clock)).await;
        assert_eq!(state(&mut wire, "tx").await, "Ongoing");
        let (mut reader, correlation_id) = wait_for_committed(&broker).await;
        clock.advance(Duration::from_millis(10_000));
        assert_eq!(state(&mut wire, "tx").await, "Ongoing");
        clock.advance(Duration::from_millis(10_000));
        expect_aborted(&mut reader, correlation_id).await;
        assert_eq!(state(&mut wire, "tx").await, "CompleteAbort");
        broker.shutdown().await;
    }
}

#[tokio::test]
async fn what_an_earlier_run_has_left_open_for_too_long_is_aborted_by_the_first_look() {
    let dir = tempfile::tempdir().unwrap();
    let began_ms = Clock::system().now_ms();
    let next_dir = open_transaction_in(dir.path(), began_ms, Stop::Clean).await;
    let clock = Clock::manual(began_ms + 3_600_000);
    let (broker, mut wire) = start_with(in_dir(next_dir.path(), &clock)).await;
    let (mut reader, correlation_id) = wait_for_committed(&broker).await;
    clock.advance(Duration::from_millis(10_000));
    expect_aborted(&mut reader, correlation_id).await;
    let mut next = TransactionalProducer::init(&mut wire, "tx").await;
    assert_eq!(next.write(&mut wire, "t", &["b"]).await, OK);
    assert_eq!(next.end(&mut wire, true).await, OK);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_compacted_state_topic_makes_the_same_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Clock::system().now_ms());
    let (broker, mut wire) = start_with(compacting(dir.path(), &clock)).await;
    create_topic(&mut wire, "t", 2).await;
    TransactionalProducer::init(&mut wire, "expired").await;
    clock.advance(Duration::from_secs(2_000));
    while !state(&mut wire, "expired").await.is_empty() {}

    let mut idle = TransactionalProducer::init(&mut wire, "idle").await;
    let mut open = TransactionalProducer::init(&mut wire, "open").await;
    for round in 0..2 {
        let mut ended = TransactionalProducer::init(&mut wire, "ended").await;
        for number in 0..15 {
            for producer in [&mut ended, &mut open] {
                assert_eq!(producer.write(&mut wire, "t", &["a"]).await, OK);
                assert_eq!(producer.end(&mut wire, number % 3 > 0).await, OK);
            }
        }
        let before = size_bytes(&mut wire, "__transaction_state").await;
        broker.compact().await;
        let after = size_bytes(&mut wire, "__transaction_state").await;
        assert!(after < before / 2, "round {round}: {before} bytes, then {after}");
    }
    open.write(&mut wire, "t", &["b"]).await;
    let seen = transactions(&mut wire).await;
    broker.shutdown().await;

    let (broker, mut wire) = start_with(compacting(dir.path(), &clock)).await;
    assert_eq!(transactions(&mut wire).await, seen);
    let states = seen.transaction_states.iter();
    let states: Vec<_> = states.map(|seen| (&**seen.transactional_id, &*seen.transaction_state)).collect();
    assert_eq!(states, [("ended", "CompleteCommit"), ("idle", "Empty"), ("open", "Ongoing")]);
    assert_eq!(open.end(&mut wire, true).await, OK);
    assert_eq!(idle.write(&mut wire, "t", &["c"]).await, OK);
    assert_eq!(idle.end(&mut wire, true).await, OK);
    broker.shutdown().await;
}

/// Small segments, which the test compacts when it wants to; an id is forgotten soon.
fn compacting(dir: &Path, clock: &Clock) -> Config {
    let settings = [
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.segment.bytes", "1000"),
        ("transactional.id.expiration.ms", "1000000"),
        ("transaction.remove.expired.transaction.cleanup.interval.ms", "1000000"),
        ("log.cleaner.min.cleanable.ratio", "0"),
        ("log.cleaner.delete.retention.ms", "0"),
        ("log.cleaner.backoff.ms", "3600000000"),
    ];
    let config = in_dir(dir, clock);
    settings.into_iter().fold(config, |config, (name, value)| config.with(name, value).unwrap())
}

/// All that the coordinator tells of its transactions, by their names.
async fn transactions(wire: &mut Wire) -> DescribeTransactionsResponse {
    let listed = wire.call(1, ListTransactionsRequest::default().with_duration_filter(-1)).await;
    let mut ids: Vec<_> =
        listed.transaction_states.into_iter().map(|listed| listed.transactional_id).collect();
    ids.sort_unstable();
    wire.call(0, DescribeTransactionsRequest::default().with_transactional_ids(ids)).await
}

#[derive(Clone, Copy)]
enum Stop {
    Clean,
    Kill,
}

fn in_dir(dir: &Path, clock: &Clock) -> Config {
    Config::ephemeral().with_data_dir(dir).with_clock(clock.clone())
}

/// A directory with a transaction of one record that began at `began_ms` and is still open.
async fn open_transaction_in(dir: &Path, began_ms: i64, stop: Stop) -> TempDir {
    let (broker, mut wire) = start_with(in_dir(dir, &Clock::manual(began_ms))).await;
    create_topic(&mut wire, "t", 2).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    assert_eq!(producer.write(&mut wire, "t", &["a"]).await, OK);
    let left = tempfile::tempdir().unwrap();
    match stop {
        Stop::Clean => {
            broker.shutdown().await;
            copy_dir(dir, left.path());
        }
        // What the files hold while it runs is what a kill leaves.
        Stop::Kill => copy_dir(dir, left.path()),
    }
    left
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_dir(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// A reader of committed records that waits for the first.
async fn wait_for_committed(broker: &Broker) -> (Wire, i32) {
    let mut reader = Wire::connect(broker).await;
    let waiting = fetch_request("t", 0).with_isolation_level(1).with_max_wait_ms(i32::MAX);
    let correlation_id = reader.send(12, waiting).await;
    (reader, correlation_id)
}

async fn expect_aborted(reader: &mut Wire, correlation_id: i32) {
    let answer = reader.receive::<FetchRequest>(12, correlation_id).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.aborted_transactions.as_ref().map(Vec::len), Some(1));
    assert_eq!(partition.last_stable_offset, 2, "behind the record and its marker");
}
