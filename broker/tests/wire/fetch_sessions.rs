use ottla_protocol::ErrorCode;
use ottla_protocol::messages::FetchRequest;

use crate::fixture::{create_topic, fetch_request, produce, start};
use crate::wire::{batch, values};

/// A fetch of a session that names no partition: nothing has changed.
fn incremental(session_id: i32, epoch: i32) -> FetchRequest {
    let request = FetchRequest::default().with_session_id(session_id).with_session_epoch(epoch);
    request.with_min_bytes(1).with_max_bytes(1 << 20)
}

#[tokio::test]
async fn a_session_remembers_its_partitions_and_answers_only_news() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    let opened = wire.call(12, fetch_request("t", 1).with_session_epoch(0)).await;
    let session_id = opened.session_id;
    assert_ne!(session_id, 0);
    assert_eq!(opened.responses.len(), 1, "the first answer has every partition");

    let quiet = wire.call(12, incremental(session_id, 1)).await;
    assert_eq!((quiet.error_code, quiet.session_id, quiet.responses.len()), (0, session_id, 0));

    produce(&mut wire, "t", batch(&["b"])).await;
    let news = wire.call(12, incremental(session_id, 2)).await;
    assert_eq!(values(news.responses[0].partitions[0].records.as_ref().unwrap()), ["b"]);
}

#[tokio::test]
async fn a_waiting_session_fetch_is_woken_by_the_append() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut consumer = crate::wire::Wire::connect(&broker).await;
    let session_id = consumer.call(12, fetch_request("t", 0).with_session_epoch(0)).await.session_id;
    let waiting = consumer.send(12, incremental(session_id, 1).with_max_wait_ms(60_000)).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    let response = consumer.receive::<FetchRequest>(12, waiting).await;
    assert_eq!(values(response.responses[0].partitions[0].records.as_ref().unwrap()), ["a"]);
}

#[tokio::test]
async fn wrong_sessions_and_epochs() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let unknown = wire.call(12, incremental(12345, 1)).await;
    assert_eq!(unknown.error_code, ErrorCode::FetchSessionIdNotFound.code());
    let session_id = wire.call(12, fetch_request("t", 0).with_session_epoch(0)).await.session_id;
    let skipped = wire.call(12, incremental(session_id, 5)).await;
    assert_eq!(skipped.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let by_id = wire.call(13, incremental(session_id, 1)).await;
    assert_eq!(by_id.error_code, ErrorCode::FetchSessionTopicIdError.code());
    wire.call(12, incremental(session_id, -1)).await;
    let closed = wire.call(12, incremental(session_id, 1)).await;
    assert_eq!(closed.error_code, ErrorCode::FetchSessionIdNotFound.code());
}
