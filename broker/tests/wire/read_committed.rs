//! What a consumer of committed records is given, and when.

use std::collections::BTreeSet;

use ottla_broker::{Broker, Config};
use ottla_protocol::batch;
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{DescribeProducersRequest, FetchRequest, ListOffsetsRequest};

use crate::fixture::{create_topic, fetch_request, produce, start, start_with};
use crate::transactional_producer::TransactionalProducer;
use crate::wire::{Wire, batch, topic_name, values};

const OK: i16 = 0;
const LATEST: i64 = -1;
/// Longer than any test may take: a fetch that waits this long has missed its marker.
const FOR_EVER_MS: i32 = 60_000;

fn committed(offset: i64) -> FetchRequest {
    fetch_request("t", offset).with_isolation_level(1)
}

async fn fetch(wire: &mut Wire, request: FetchRequest) -> PartitionData {
    wire.call(12, request).await.responses.remove(0).partitions.remove(0)
}

/// As Kafka's consumer does it: without markers, and without what is named as aborted.
fn visible(partition: &PartitionData) -> Vec<String> {
    let mut begun = partition.aborted_transactions.clone().unwrap_or_default();
    begun.sort_by_key(|aborted| aborted.first_offset);
    let (mut begun, mut skipped) = (begun.into_iter().peekable(), BTreeSet::new());
    let mut seen = Vec::new();
    let records = partition.records.clone().unwrap();
    let mut rest = records.clone();
    for batch in batch::batches(&records) {
        let batch = batch.unwrap();
        let bytes = rest.split_to(batch.size_bytes());
        while let Some(aborted) = begun.next_if(|aborted| aborted.first_offset <= batch.last_offset()) {
            skipped.insert(aborted.producer_id.0);
        }
        let header = batch.header();
        if header.is_control() {
            skipped.remove(&header.producer_id);
        } else if !header.is_transactional() || !skipped.contains(&header.producer_id) {
            seen.extend(values(&bytes));
        }
    }
    seen
}

async fn latest(wire: &mut Wire, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition::default().with_timestamp(LATEST).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    wire.call(7, request.with_isolation_level(isolation_level)).await.topics[0].partitions[0].offset
}

async fn open_transactions(wire: &mut Wire) -> Vec<i64> {
    let topic = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let described = wire.call(0, DescribeProducersRequest::default().with_topics(vec![topic])).await;
    let producers = &described.topics[0].partitions[0].active_producers;
    producers.iter().map(|producer| producer.current_txn_start_offset).collect()
}

/// A topic that two producers write to, both in a transaction.
async fn two_transactions(wire: &mut Wire) -> (TransactionalProducer, TransactionalProducer) {
    create_topic(wire, "t", 1).await;
    let mut first = TransactionalProducer::init(wire, "first").await;
    let mut second = TransactionalProducer::init(wire, "second").await;
    assert_eq!(first.write(wire, "t", &["a", "b"]).await, OK);
    assert_eq!(second.write(wire, "t", &["c"]).await, OK);
    assert_eq!(produce(wire, "t", batch(&["d"])).await.base_offset, 3);
    (first, second)
}

#[tokio::test]
async fn everything_behind_the_oldest_open_transaction_waits_for_it() {
    let (_broker, mut wire) = start().await;
    let (mut first, mut second) = two_transactions(&mut wire).await;
    let found = fetch(&mut wire, committed(0)).await;
    assert_eq!((found.last_stable_offset, found.high_watermark), (0, 4));
    assert!(found.records.unwrap().is_empty());
    assert_eq!((latest(&mut wire, 0).await, latest(&mut wire, 1).await), (4, 0));
    assert_eq!(open_transactions(&mut wire).await, [0, 2]);

    assert_eq!(second.end(&mut wire, false).await, OK);
    assert_eq!(latest(&mut wire, 1).await, 0);
    assert_eq!(first.end(&mut wire, true).await, OK);
    // Two markers have taken an offset each.
    assert_eq!((latest(&mut wire, 0).await, latest(&mut wire, 1).await), (6, 6));
    let found = fetch(&mut wire, committed(0)).await;
    assert_eq!(visible(&found), ["a", "b", "d"]);
    assert_eq!(open_transactions(&mut wire).await, [-1, -1]);
    let uncommitted = fetch(&mut wire, fetch_request("t", 0)).await;
    assert_eq!(uncommitted.aborted_transactions, None);
    assert_eq!(values(&uncommitted.records.unwrap())[..4], ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn the_marker_itself_wakes_a_fetch_that_waits() {
    for committing in [true, false] {
        let (broker, mut wire) = start().await;
        let (mut first, mut second) = two_transactions(&mut wire).await;
        let mut consumer = Wire::connect(&broker).await;
        let waiting = consumer.send(12, committed(0).with_max_wait_ms(FOR_EVER_MS)).await;
        second.end(&mut wire, true).await;
        first.end(&mut wire, committing).await;
        let response = consumer.receive::<FetchRequest>(12, waiting).await;
        let expected = if committing { &["a", "b", "c", "d"][..] } else { &["c", "d"][..] };
        assert_eq!(visible(&response.responses[0].partitions[0]), expected);
    }
}

#[tokio::test]
async fn what_is_undecided_does_not_count_towards_min_bytes() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let one = batch(&["x"]);
    produce(&mut wire, "t", one.clone()).await;
    let mut consumer = Wire::connect(&broker).await;
    let min_bytes = one.len() as i32 + 1;
    let request = committed(0).with_max_wait_ms(FOR_EVER_MS).with_min_bytes(min_bytes);
    let waiting = consumer.send(12, request).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    produce(&mut wire, "t", one).await;
    producer.end(&mut wire, true).await;
    let response = consumer.receive::<FetchRequest>(12, waiting).await;
    let found = &response.responses[0].partitions[0];
    assert_eq!(visible(found), ["x", "a", "x"]);
    assert_eq!(found.last_stable_offset, 4);
}

async fn check_survives(stop: impl AsyncFnOnce(Broker)) {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config::ephemeral().with_data_dir(dir.path());
    let (broker, mut wire) = start_with(config()).await;
    let (_, mut second) = two_transactions(&mut wire).await;
    second.end(&mut wire, false).await;
    stop(broker).await;
    wire.closed().await;

    let (broker, mut wire) = start_with(config()).await;
    assert_eq!((latest(&mut wire, 0).await, latest(&mut wire, 1).await), (5, 0));
    TransactionalProducer::init(&mut wire, "first").await;
    assert_eq!((latest(&mut wire, 0).await, latest(&mut wire, 1).await), (6, 6));
    assert_eq!(visible(&fetch(&mut wire, committed(0)).await), ["d"]);
    broker.shutdown().await;
}

#[tokio::test]
async fn an_open_transaction_is_open_after_a_clean_stop_until_its_producer_comes_anew() {
    check_survives(async |broker: Broker| broker.shutdown().await).await;
}

#[tokio::test]
async fn an_open_transaction_is_open_after_a_kill_until_its_producer_comes_anew() {
    check_survives(async |broker: Broker| drop(broker)).await;
}

#[tokio::test]
async fn every_version_names_what_was_aborted() {
    let (_broker, mut wire) = start().await;
    let (mut first, mut second) = two_transactions(&mut wire).await;
    first.end(&mut wire, false).await;
    second.end(&mut wire, true).await;
    for version in 4..=12 {
        let response = wire.call(version, committed(0)).await;
        let found = &response.responses[0].partitions[0];
        let aborted = found.aborted_transactions.as_ref().unwrap();
        let aborted: Vec<_> =
            aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect();
        assert_eq!(aborted, [(first.id, 0)], "v{version}");
        assert_eq!(visible(found), ["c", "d"], "v{version}");
    }
}
