use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use uuid::Uuid;

use crate::fixture::{create_topic, fetch_request, produce, produce_request, start};
use crate::wire::{Wire, batch, values};

/// Longer than any test may take: a fetch that waits this long has missed its append.
const FOR_EVER_MS: i32 = 60_000;

fn partition(response: &FetchResponse) -> &PartitionData {
    &response.responses[0].partitions[0]
}

fn fetched(response: &FetchResponse) -> Vec<String> {
    values(partition(response).records.as_ref().unwrap())
}

fn by_id(topic_id: Uuid, offset: i64) -> FetchRequest {
    let mut request = fetch_request("", offset);
    request.topics[0].topic_id = topic_id;
    request
}

#[tokio::test]
async fn every_version_is_served() {
    let (_broker, mut wire) = start().await;
    let topic_id = create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    for version in 4..=18 {
        let request = if version < 13 { fetch_request("t", 0) } else { by_id(topic_id, 0) };
        let response = wire.call(version, request).await;
        assert_eq!(response.error_code, 0, "version {version}");
        assert_eq!(fetched(&response), ["a"], "version {version}");
    }
}

#[tokio::test]
async fn a_fetch_at_the_end_is_woken_by_the_append() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut consumer = Wire::connect(&broker).await;
    let waiting = consumer.send(12, fetch_request("t", 0).with_max_wait_ms(FOR_EVER_MS)).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    assert_eq!(fetched(&consumer.receive::<FetchRequest>(12, waiting).await), ["a"]);
}

#[tokio::test]
async fn a_fetch_waits_for_min_bytes() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let one = batch(&["a"]);
    let min_bytes = i32::try_from(2 * one.len()).unwrap();
    let mut consumer = Wire::connect(&broker).await;
    let request = fetch_request("t", 0).with_max_wait_ms(FOR_EVER_MS).with_min_bytes(min_bytes);
    let waiting = consumer.send(12, request).await;
    produce(&mut wire, "t", one.clone()).await;
    produce(&mut wire, "t", one).await;
    assert_eq!(fetched(&consumer.receive::<FetchRequest>(12, waiting).await), ["a", "a"]);
}

#[tokio::test]
async fn a_fetch_ends_when_max_wait_is_over() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let sent_at = Instant::now();
    let response = wire.call(12, fetch_request("t", 0).with_max_wait_ms(30)).await;
    assert!(sent_at.elapsed() >= Duration::from_millis(30));
    assert_eq!((partition(&response).error_code, partition(&response).high_watermark), (0, 0));
    assert!(fetched(&response).is_empty());
}

#[tokio::test]
async fn a_fetch_inside_a_batch_gets_the_whole_batch() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a", "b", "c"])).await;
    produce(&mut wire, "t", batch(&["d"])).await;
    assert_eq!(fetched(&wire.call(12, fetch_request("t", 1)).await), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn the_first_batch_comes_even_if_it_is_larger_than_every_limit() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    produce(&mut wire, "t", batch(&["b"])).await;
    let mut request = fetch_request("t", 0).with_max_bytes(1);
    request.topics[0].partitions[0].partition_max_bytes = 1;
    assert_eq!(fetched(&wire.call(12, request).await), ["a"]);
}

#[tokio::test]
async fn offsets_outside_the_log() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    for offset in [2, -1, i64::MAX, i64::MIN] {
        // It is told at once, however long the client would wait.
        let response = wire.call(12, fetch_request("t", offset).with_max_wait_ms(FOR_EVER_MS)).await;
        assert_eq!(partition(&response).error_code, ErrorCode::OffsetOutOfRange.code(), "offset {offset}");
    }
}

#[tokio::test]
async fn unknown_topics_partitions_ids_and_epochs() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let waiting = |request: FetchRequest| request.with_max_wait_ms(FOR_EVER_MS);
    let response = wire.call(12, waiting(fetch_request("u", 0))).await;
    assert_eq!(partition(&response).error_code, ErrorCode::UnknownTopicOrPartition.code());
    let mut request = fetch_request("t", 0);
    request.topics[0].partitions[0].partition = 5;
    let response = wire.call(12, waiting(request)).await;
    assert_eq!(partition(&response).error_code, ErrorCode::UnknownTopicOrPartition.code());
    let response = wire.call(13, waiting(by_id(Uuid::from_u128(7), 0))).await;
    assert_eq!(partition(&response).error_code, ErrorCode::UnknownTopicId.code());
    let mut request = fetch_request("t", 0);
    request.topics[0].partitions[0].current_leader_epoch = 9;
    let response = wire.call(12, waiting(request)).await;
    assert_eq!(partition(&response).error_code, ErrorCode::UnknownLeaderEpoch.code());
}

#[tokio::test]
async fn a_waiting_fetch_is_told_that_its_topic_was_deleted() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut consumer = Wire::connect(&broker).await;
    // Produced and fetched first, so that the second fetch is known to wait when the topic goes.
    let request = fetch_request("t", 0).with_max_wait_ms(FOR_EVER_MS);
    let waiting = consumer.send(12, request.clone()).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    consumer.receive::<FetchRequest>(12, waiting).await;
    let waiting = consumer.send(12, fetch_request("t", 1).with_max_wait_ms(FOR_EVER_MS)).await;
    crate::admin::delete_topic(&mut wire, "t").await;
    let response = consumer.receive::<FetchRequest>(12, waiting).await;
    assert_eq!(partition(&response).error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn two_partitions_share_the_limit_in_the_order_of_the_request() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 2).await;
    for index in [0, 1] {
        wire.call(12, produce_request("t", index, batch(&["a"]))).await;
    }
    let mut request = fetch_request("t", 0).with_max_bytes(1);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.insert(0, second);
    let response = wire.call(12, request).await;
    let sizes =
        response.responses[0].partitions.iter().map(|found| values(found.records.as_ref().unwrap()).len());
    assert_eq!(sizes.collect::<Vec<_>>(), [1, 0]);
}
