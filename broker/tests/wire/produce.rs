use bytes::{Bytes, BytesMut};
use ottla_broker::Config;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiVersionsRequest, FetchRequest, InitProducerIdRequest};
use uuid::Uuid;

use crate::fixture::{create_topic, fetch_request, produce, produce_request, start, start_with};
use crate::wire::{Wire, batch, producer_batch, values};

#[tokio::test]
async fn batches_get_the_next_offsets_and_come_back_as_they_were_sent() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let first = produce(&mut wire, "t", batch(&["a", "b"])).await;
    assert_eq!((first.error_code, first.base_offset, first.log_append_time_ms), (0, 0, -1));
    assert_eq!(produce(&mut wire, "t", batch(&["c"])).await.base_offset, 2);
    let fetched = wire.call(12, fetch_request("t", 0)).await;
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!(
        (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset),
        (3, 3, 0)
    );
    assert_eq!(values(partition.records.as_ref().unwrap()), ["a", "b", "c"]);
}

#[tokio::test]
async fn every_version_is_served() {
    let (_broker, mut wire) = start().await;
    let topic_id = create_topic(&mut wire, "t", 1).await;
    for version in 3..=13 {
        let mut request = produce_request("t", 0, batch(&["a"]));
        if version >= 13 {
            request.topic_data[0].topic_id = topic_id;
        }
        let response = wire.call(version, request).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, i64::from(version) - 3),
            "version {version}"
        );
    }
}

#[tokio::test]
async fn broken_batches_get_kafkas_errors_and_are_not_appended() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let flipped = |at: usize| {
        let mut bytes = BytesMut::from(&batch(&["abc"])[..]);
        bytes[at] ^= 1;
        bytes.freeze()
    };
    let sound = batch(&["abc"]);
    let two = Bytes::from([&sound[..], &sound[..]].concat());
    for (what, records, error) in [
        ("a wrong CRC", flipped(17), ErrorCode::CorruptMessage),
        ("a record changed on its way", flipped(sound.len() - 2), ErrorCode::CorruptMessage),
        ("a batch cut short", sound.slice(..sound.len() - 1), ErrorCode::InvalidRecord),
        ("half a header", sound.slice(..30), ErrorCode::InvalidRecord),
        ("magic 3", flipped(16), ErrorCode::CorruptMessage),
        ("two batches", two, ErrorCode::InvalidRecord),
        ("no batch", Bytes::new(), ErrorCode::InvalidRecord),
    ] {
        let refused = produce(&mut wire, "t", records).await;
        assert_eq!(refused.error_code, error.code(), "{what}: {:?}", refused.error_message);
        assert_eq!((refused.base_offset, refused.log_start_offset), (-1, -1), "{what}");
    }
    assert_eq!(produce(&mut wire, "t", sound).await.base_offset, 0, "nothing of it was appended");
}

#[tokio::test]
async fn unknown_topics_partitions_and_ids() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    assert_eq!(
        produce(&mut wire, "u", batch(&["a"])).await.error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    for partition in [1, -1, i32::MAX] {
        let response = wire.call(12, produce_request("t", partition, batch(&["a"]))).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code(), "partition {partition}");
    }
    let mut by_id = produce_request("", 0, batch(&["a"]));
    by_id.topic_data[0].topic_id = Uuid::from_u128(7);
    let response = wire.call(13, by_id).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn acks_are_minus_1_0_or_1() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let response = wire.call(12, produce_request("t", 0, batch(&["a"])).with_acks(2)).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
}

#[tokio::test]
async fn acks_0_gets_no_response() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    wire.send(12, produce_request("t", 0, batch(&["a"])).with_acks(0)).await;
    // The next response is that of the next request.
    let fetched = wire.call(12, fetch_request("t", 0)).await;
    assert_eq!(values(fetched.responses[0].partitions[0].records.as_ref().unwrap()), ["a"]);
}

#[tokio::test]
async fn a_failed_request_with_acks_0_closes_the_connection() {
    let (broker, mut wire) = start().await;
    wire.send(12, produce_request("nowhere", 0, batch(&["a"])).with_acks(0)).await;
    wire.closed().await;
    assert_eq!(Wire::connect(&broker).await.call(0, ApiVersionsRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn a_batch_over_max_message_bytes_is_refused() {
    let config = Config::ephemeral().with("message.max.bytes", "200").unwrap();
    let (_broker, mut wire) = start_with(config).await;
    create_topic(&mut wire, "t", 1).await;
    let refused = produce(&mut wire, "t", batch(&[&"x".repeat(200)])).await;
    assert_eq!(refused.error_code, ErrorCode::MessageTooLarge.code());
    assert!(refused.error_message.unwrap().contains("max.message.bytes=200"));
    assert_eq!(produce(&mut wire, "t", batch(&["x"])).await.error_code, 0);
}

#[tokio::test]
async fn an_idempotent_producer_writes_each_batch_once() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let id = wire.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_eq!((id.error_code, id.producer_epoch), (0, 0));
    let id = id.producer_id.0;
    assert_eq!(produce(&mut wire, "t", producer_batch(id, 0, 0, &["a", "b"])).await.base_offset, 0);
    let again = produce(&mut wire, "t", producer_batch(id, 0, 0, &["a", "b"])).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0), "sent again, it is where it was");
    let gap = produce(&mut wire, "t", producer_batch(id, 0, 3, &["d"])).await;
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(produce(&mut wire, "t", producer_batch(id, 0, 2, &["c"])).await.base_offset, 2);
    let next = wire.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_ne!(next.producer_id.0, id, "every producer has an id of its own");
}

#[tokio::test]
async fn clients_do_not_write_to_the_brokers_own_topics() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "__transaction_state", 1).await;
    let refused = produce(&mut wire, "__transaction_state", batch(&["a"])).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
}

#[tokio::test]
async fn a_record_is_read_once_it_is_on_the_disk_where_that_is_asked_for() {
    let config = Config::ephemeral().with("log.flush.interval.messages", "1").unwrap();
    let (broker, mut wire) = start_with(config).await;
    create_topic(&mut wire, "t", 1).await;
    let mut reader = Wire::connect(&broker).await;
    let waiting = fetch_request("t", 0).with_max_wait_ms(60_000);
    let asked = reader.send(12, waiting).await;
    let appended = produce(&mut wire, "t", batch(&["kept"])).await;
    assert_eq!((appended.error_code, appended.base_offset), (0, 0));
    let fetched = reader.receive::<FetchRequest>(12, asked).await;
    let fetched = &fetched.responses[0].partitions[0];
    assert_eq!(fetched.high_watermark, 1);
    assert_eq!(values(fetched.records.as_ref().unwrap()), ["kept"]);
}
