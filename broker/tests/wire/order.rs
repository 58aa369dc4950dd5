use ottla_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};

use crate::fixture::{create_topic, fetch_request, produce_request, start};
use crate::wire::{batch, values};

#[tokio::test]
async fn responses_come_in_the_order_of_the_requests_even_when_the_first_one_waits() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    // The fetch is parked until the produce behind it, on the same connection, appends.
    let fetch = wire.send(12, fetch_request("t", 0).with_max_wait_ms(60_000)).await;
    let metadata = wire.send(12, MetadataRequest::default()).await;
    let produce = wire.send(12, produce_request("t", 0, batch(&["a"]))).await;
    let fetched = wire.receive::<FetchRequest>(12, fetch).await;
    assert_eq!(values(fetched.responses[0].partitions[0].records.as_ref().unwrap()), ["a"]);
    wire.receive::<MetadataRequest>(12, metadata).await;
    let produced = wire.receive::<ProduceRequest>(12, produce).await;
    assert_eq!(produced.responses[0].partition_responses[0].base_offset, 0);
}

#[tokio::test]
async fn what_came_before_a_broken_request_is_still_answered() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let fetch = wire.send(12, fetch_request("t", 0).with_max_wait_ms(20)).await;
    wire.send_bytes(&(-1_i32).to_be_bytes()).await;
    assert_eq!(wire.receive::<FetchRequest>(12, fetch).await.error_code, 0);
    wire.closed().await;
}

#[tokio::test]
async fn more_requests_than_may_be_in_flight_are_all_answered() {
    let (_broker, mut wire) = start().await;
    let mut sent = Vec::new();
    for _ in 0..500 {
        sent.push(wire.send(0, ApiVersionsRequest::default()).await);
    }
    for correlation_id in sent {
        wire.receive::<ApiVersionsRequest>(0, correlation_id).await;
    }
}

#[tokio::test]
async fn produced_batches_keep_the_order_in_which_they_were_sent() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut sent = Vec::new();
    for value in 0..100 {
        sent.push(wire.send(12, produce_request("t", 0, batch(&[&value.to_string()]))).await);
    }
    for (offset, correlation_id) in sent.into_iter().enumerate() {
        let response = wire.receive::<ProduceRequest>(12, correlation_id).await;
        assert_eq!(response.responses[0].partition_responses[0].base_offset, offset as i64);
    }
}
