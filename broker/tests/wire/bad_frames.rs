use ottla_broker::{Broker, Config};
use ottla_protocol::messages::ApiVersionsRequest;

use crate::fixture::{start, start_with};
use crate::wire::Wire;

/// Each breaks the protocol in one way: the broker closes that connection, and serves the next one.
async fn check(broker: &Broker, what: &str, bytes: &[u8]) {
    let mut wire = Wire::connect(broker).await;
    wire.send_bytes(bytes).await;
    wire.closed().await;
    let response = Wire::connect(broker).await.call(0, ApiVersionsRequest::default()).await;
    assert_eq!(response.error_code, 0, "after {what}");
}

#[tokio::test]
async fn a_frame_that_cannot_be_followed_closes_its_connection() {
    let (broker, _wire) = start().await;
    check(&broker, "a negative length", &(-1_i32).to_be_bytes()).await;
    check(&broker, "a length over every limit", &i32::MAX.to_be_bytes()).await;
    check(&broker, "HTTP", b"GET / HTTP/1.1\r\n\r\n").await;
    check(&broker, "an empty frame", &[0, 0, 0, 0]).await;
    check(&broker, "half a header", &[0, 0, 0, 3, 0, 18, 0]).await;
}

#[tokio::test]
async fn a_request_that_is_not_served_closes_its_connection() {
    let (broker, _wire) = start().await;
    let header = |key: i16, version: i16| {
        let mut frame = vec![0, 0, 0, 11];
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0]);
        frame
    };
    check(&broker, "an unknown API", &header(9999, 0)).await;
    check(&broker, "an API that only Kafka's controllers serve", &header(52, 0)).await;
    check(&broker, "a version from the future", &header(3, 99)).await;
    check(&broker, "a version that Kafka 4 has dropped", &header(1, 3)).await;
    check(&broker, "a negative version", &header(3, -1)).await;
}

#[tokio::test]
async fn a_body_that_lies_about_its_lengths_closes_its_connection() {
    let (broker, _wire) = start().await;
    // Metadata v1 with two billion topics.
    check(
        &broker,
        "a huge count",
        &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
    )
    .await;
    check(&broker, "a body cut short", &[0, 0, 0, 12, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0]).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_frame_is_forgotten() {
    let (broker, mut wire) = start().await;
    wire.send_bytes(&[0, 0, 1, 0, 0, 18]).await;
    wire.finish_sending().await;
    wire.closed().await;
    assert_eq!(Wire::connect(&broker).await.call(0, ApiVersionsRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let config = Config::ephemeral().with("max.connections", "1").unwrap();
    let (broker, mut wire) = start_with(config).await;
    assert_eq!(wire.call(0, ApiVersionsRequest::default()).await.error_code, 0);
    Wire::connect(&broker).await.closed().await;
    assert_eq!(
        wire.call(0, ApiVersionsRequest::default()).await.error_code,
        0,
        "the first one is still served"
    );
}
