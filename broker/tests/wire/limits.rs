use ottla_broker::Config;
use ottla_protocol::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};

use crate::fixture::{create_topic, produce_request, start_with};
use crate::wire::{Wire, batch};

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let config = Config::ephemeral().with("connections.max.idle.ms", "50").unwrap();
    let (broker, mut busy) = start_with(config).await;
    let idle = Wire::connect(&broker).await;
    let mut closing = Box::pin(idle.closed());
    // The busy one speaks until the idle one is gone.
    while futures::poll!(&mut closing).is_pending() {
        assert_eq!(busy.call(0, ApiVersionsRequest::default()).await.error_code, 0);
    }
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_it_may() {
    let config = Config::ephemeral().with("max.connections.per.ip", "1").unwrap();
    let (broker, mut first) = start_with(config).await;
    assert_eq!(first.call(0, ApiVersionsRequest::default()).await.error_code, 0);
    Wire::connect(&broker).await.closed().await;
    assert_eq!(first.call(0, ApiVersionsRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn a_large_request_waits_for_memory_and_small_ones_do_not() {
    let config = Config::ephemeral().with("queued.max.request.bytes", "100000").unwrap();
    let (broker, mut first) = start_with(config.with("socket.request.max.bytes", "100000").unwrap()).await;
    create_topic(&mut first, "t", 1).await;
    let large = produce_request("t", 0, batch(&[&"x".repeat(90_000)]));
    let frame = ottla_protocol::encode_request(1, None, 12, large.clone()).unwrap().to_bytes();
    first.send_bytes(&frame[..50_000]).await;
    let mut small = Wire::connect(&broker).await;
    assert_eq!(small.call(12, MetadataRequest::default().with_topics(None)).await.topics.len(), 1);

    let mut second = Wire::connect(&broker).await;
    second.send_bytes(&frame[..50_000]).await;
    assert_eq!(small.call(12, MetadataRequest::default().with_topics(None)).await.topics.len(), 1);
    first.send_bytes(&frame[50_000..]).await;
    let response = first.receive::<ProduceRequest>(12, 1).await;
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 0);
    second.send_bytes(&frame[50_000..]).await;
    let response = second.receive::<ProduceRequest>(12, 1).await;
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 1);
}
