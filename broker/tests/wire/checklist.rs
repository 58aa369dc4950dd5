//! What brokers get wrong, line by line, with the tests that hold this one to it; those without a file are here.
//!
//! | what | tests |
//! |---|---|
//! | fetch sessions (KIP-227): epochs 0 and −1, the next one expected, wrap to 1, errors 70, 71, 106, only news, slots | `fetch_sessions.rs`; `epochs_wrap_to_one`, `session_errors`, `a_full_cache_evicts_the_stale_and_then_the_small` and the others in `src/fetch_sessions.rs` |
//! | a recreated topic in a session is addressed by its id | `a_session_by_id_does_not_take_a_recreated_topic_for_the_old_one` |
//! | a fetch gets whole batches, the first one however large, in the order of the request | `fetch.rs`: `a_fetch_inside_a_batch_gets_the_whole_batch`, `the_first_batch_comes_even_if_it_is_larger_than_every_limit`, `two_partitions_share_the_limit_in_the_order_of_the_request` |
//! | `min_bytes`, `max_wait`, an empty topic, the end waits, beyond it is OFFSET_OUT_OF_RANGE | `fetch.rs`: `a_fetch_waits_for_min_bytes`, `a_fetch_ends_when_max_wait_is_over`, `a_fetch_at_the_end_is_woken_by_the_append`, `offsets_outside_the_log` |
//! | a rolled segment neither ends a wait nor hides an append | `a_fetch_waits_at_the_end_of_a_rolled_segment` |
//! | ListOffsets −1 to −5, the first record at or after a time, none is −1, leader epochs | `list_offsets.rs`; against Kafka `tests/differential/fetch.rs`; −1 under `read_committed` `read_committed.rs` |
//! | LogAppendTime is stamped, told and marked; CreateTime outside the bounds is INVALID_TIMESTAMP | `log_append_time_is_told_and_marked`, `a_time_outside_the_bounds_is_refused` |
//! | `max.message.bytes` is of the compressed batch | `what_is_small_once_compressed_is_not_too_large` |
//! | a batch larger than a segment is RECORD_LIST_TOO_LARGE | `a_batch_larger_than_a_segment_is_refused` |
//! | wrong CRC, two batches, no batch | `produce.rs`: `broken_batches_get_kafkas_errors_and_are_not_appended`; against Kafka `tests/differential/produce.rs` |
//! | acks | `produce.rs`: `acks_are_minus_1_0_or_1`, `acks_0_gets_no_response`, `a_failed_request_with_acks_0_closes_the_connection` |
//! | stale topic ids, delete and recreate, metadata by id | `a_stale_topic_id_is_unknown_everywhere`; `admin.rs`: `a_recreated_topic_has_a_new_id_and_is_empty` |
//! | leader epochs in Fetch, ListOffsets, OffsetForLeaderEpoch; a restart keeps the epoch | `a_later_leader_epoch_is_unknown_everywhere_and_a_restart_begins_none`; `an_older_leader_epoch_is_fenced_and_a_later_one_unknown` in `src/partition.rs` |
//! | responses in the order of the requests, though a fetch waits, five in flight | `order.rs`; `five_batches_in_flight_behind_a_waiting_fetch_keep_their_order` |
//!
//! INCONSISTENT_TOPIC_ID (103) is what Kafka's replicas tell each other; here is none.

use ottla_broker::{Broker, Clock, Config};
use ottla_protocol::batch::{BatchBuilder, TimestampType, batches};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
    ProduceRequest,
};
use ottla_protocol::{Compression, ErrorCode};
use uuid::Uuid;

use crate::admin::delete_topic;
use crate::fixture::{create_topic, fetch_request, produce, produce_request, start, start_with};
use crate::wire::{Wire, batch, text, topic_name, values};

const HOUR_MS: i64 = 3_600_000;

async fn create_with(wire: &mut Wire, setting: &str, value: &str) {
    let config = CreatableTopicConfig::default().with_name(text(setting)).with_value(Some(text(value)));
    let topic = CreatableTopic::default().with_name(topic_name("t")).with_num_partitions(1);
    let topic = topic.with_replication_factor(1).with_configs(vec![config]);
    let response = wire.call(7, CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

fn fetch_by_id(topic_id: Uuid) -> FetchRequest {
    let mut request = fetch_request("", 0);
    request.topics[0].topic_id = topic_id;
    request
}

#[tokio::test]
async fn a_session_by_id_does_not_take_a_recreated_topic_for_the_old_one() {
    let (_broker, mut wire) = start().await;
    let old_id = create_topic(&mut wire, "t", 1).await;
    let opened = wire.call(13, fetch_by_id(old_id).with_session_epoch(0)).await;
    assert_ne!(opened.session_id, 0);
    delete_topic(&mut wire, "t").await;
    let new_id = create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["new"])).await;

    let next = |epoch, topics| {
        let request = FetchRequest::default().with_session_id(opened.session_id).with_session_epoch(epoch);
        request.with_max_bytes(1 << 20).with_topics(topics)
    };
    let stale = wire.call(13, next(1, vec![])).await;
    assert_eq!(stale.responses[0].topic_id, old_id);
    assert_eq!(stale.responses[0].partitions[0].error_code, ErrorCode::UnknownTopicId.code());
    let both = wire.call(13, next(2, fetch_by_id(new_id).topics)).await;
    let new = both.responses.iter().find(|topic| topic.topic_id == new_id).unwrap();
    assert_eq!(values(new.partitions[0].records.as_ref().unwrap()), ["new"]);
}

#[tokio::test]
async fn a_fetch_waits_at_the_end_of_a_rolled_segment() {
    let (broker, mut wire) = start().await;
    create_with(&mut wire, "segment.bytes", "100").await;
    for offset in 0..3 {
        assert_eq!(produce(&mut wire, "t", batch(&["a"])).await.base_offset, offset);
    }
    let mut consumer = Wire::connect(&broker).await;
    let in_vain = consumer.call(12, fetch_request("t", 3).with_max_wait_ms(20)).await;
    assert!(values(in_vain.responses[0].partitions[0].records.as_ref().unwrap()).is_empty());
    let waiting = consumer.send(12, fetch_request("t", 3).with_max_wait_ms(60_000)).await;
    produce(&mut wire, "t", batch(&["b"])).await;
    let woken = consumer.receive::<FetchRequest>(12, waiting).await;
    assert_eq!(values(woken.responses[0].partitions[0].records.as_ref().unwrap()), ["b"]);
}

#[tokio::test]
async fn log_append_time_is_told_and_marked() {
    let (_broker, mut wire) = start().await;
    create_with(&mut wire, "message.timestamp.type", "LogAppendTime").await;
    let mut old = BatchBuilder::new(Compression::None);
    old.push(1, None, Some(b"a")).unwrap();
    let before_ms = Clock::system().now_ms();
    let produced = produce(&mut wire, "t", old.build().unwrap()).await;
    assert!(produced.error_code == 0 && produced.log_append_time_ms >= before_ms, "{produced:?}");
    let fetched = wire.call(12, fetch_request("t", 0)).await;
    let records = fetched.responses[0].partitions[0].records.clone().unwrap();
    let stored = batches(&records).next().unwrap().unwrap();
    assert_eq!(stored.header().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(stored.header().max_timestamp, produced.log_append_time_ms);
}

#[tokio::test]
async fn a_time_outside_the_bounds_is_refused() {
    let (_broker, mut wire) = start().await;
    create_with(&mut wire, "message.timestamp.before.max.ms", "1000").await;
    let now_ms = Clock::system().now_ms();
    for (what, timestamp) in [("tomorrow", now_ms + 24 * HOUR_MS), ("an hour ago", now_ms - HOUR_MS)] {
        let mut odd = BatchBuilder::new(Compression::None);
        odd.push(timestamp, None, Some(b"a")).unwrap();
        let refused = produce(&mut wire, "t", odd.build().unwrap()).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.code(), "{what}");
    }
}

#[tokio::test]
async fn what_is_small_once_compressed_is_not_too_large() {
    let (_broker, mut wire) = start().await;
    create_with(&mut wire, "max.message.bytes", "1000").await;
    let build = |compression| {
        let mut batch = BatchBuilder::new(compression);
        batch.push(Clock::system().now_ms(), None, Some(&[7; 10_000])).unwrap();
        batch.build().unwrap()
    };
    let large = produce(&mut wire, "t", build(Compression::None)).await;
    assert_eq!(large.error_code, ErrorCode::MessageTooLarge.code());
    assert_eq!(produce(&mut wire, "t", build(Compression::Lz4)).await.error_code, 0);
}

#[tokio::test]
async fn a_batch_larger_than_a_segment_is_refused() {
    let (_broker, mut wire) = start().await;
    create_with(&mut wire, "segment.bytes", "200").await;
    let refused = produce(&mut wire, "t", batch(&[&"x".repeat(300)])).await;
    assert_eq!(refused.error_code, ErrorCode::RecordListTooLarge.code());
}

#[tokio::test]
async fn a_stale_topic_id_is_unknown_everywhere() {
    let (_broker, mut wire) = start().await;
    let old_id = create_topic(&mut wire, "t", 1).await;
    delete_topic(&mut wire, "t").await;
    let new_id = create_topic(&mut wire, "t", 1).await;
    for (topic_id, expected) in [(old_id, ErrorCode::UnknownTopicId.code()), (new_id, 0)] {
        let mut produce = produce_request("", 0, batch(&["a"]));
        produce.topic_data[0].topic_id = topic_id;
        let response = wire.call(13, produce).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, expected, "Produce");
        let response = wire.call(13, fetch_by_id(topic_id)).await;
        assert_eq!(response.responses[0].partitions[0].error_code, expected, "Fetch");
        let topic = MetadataRequestTopic::default().with_name(None).with_topic_id(topic_id);
        let response = wire.call(12, MetadataRequest::default().with_topics(Some(vec![topic]))).await;
        assert_eq!(response.topics[0].error_code, expected, "Metadata");
    }
}

#[tokio::test]
async fn a_later_leader_epoch_is_unknown_everywhere_and_a_restart_begins_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config::ephemeral().with_data_dir(dir.path());
    let (broker, mut wire) = start_with(config()).await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    check_epochs(&mut wire).await;
    broker.shutdown().await;

    let broker = Broker::start(config()).await.unwrap();
    let mut wire = Wire::connect(&broker).await;
    produce(&mut wire, "t", batch(&["b"])).await;
    check_epochs(&mut wire).await;
    let checkpoint = std::fs::read_to_string(dir.path().join("t-0/leader-epoch-checkpoint")).unwrap();
    assert_eq!(checkpoint, "0\n1\n0 0\n");
}

/// The current epoch is 0; a client that knows another has spoken to a broker that this one is not.
async fn check_epochs(wire: &mut Wire) {
    for (epoch, expected) in [(0, 0), (1, ErrorCode::UnknownLeaderEpoch.code())] {
        let mut fetch = fetch_request("t", 0);
        fetch.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = wire.call(12, fetch).await;
        assert_eq!(response.responses[0].partitions[0].error_code, expected, "Fetch, epoch {epoch}");

        let partition = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(epoch);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        let response = wire.call(7, ListOffsetsRequest::default().with_topics(vec![topic])).await;
        assert_eq!(response.topics[0].partitions[0].error_code, expected, "ListOffsets, epoch {epoch}");

        let partition =
            OffsetForLeaderPartition::default().with_current_leader_epoch(epoch).with_leader_epoch(0);
        let topic =
            OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
        let response = wire.call(4, OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
        assert_eq!(response.topics[0].partitions[0].error_code, expected, "OffsetForLeaderEpoch, {epoch}");
    }
}

#[tokio::test]
async fn five_batches_in_flight_behind_a_waiting_fetch_keep_their_order() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 2).await;
    let mut elsewhere = fetch_request("t", 0).with_max_wait_ms(30);
    elsewhere.topics[0].partitions[0].partition = 1;
    let fetch = wire.send(12, elsewhere).await;
    let mut sent = Vec::new();
    for value in ["a", "b", "c", "d", "e"] {
        sent.push(wire.send(12, produce_request("t", 0, batch(&[value]))).await);
    }
    wire.receive::<FetchRequest>(12, fetch).await;
    for (offset, correlation_id) in (0..).zip(sent) {
        let response = wire.receive::<ProduceRequest>(12, correlation_id).await;
        assert_eq!(response.responses[0].partition_responses[0].base_offset, offset);
    }
    let fetched = wire.call(12, fetch_request("t", 0)).await;
    let records = fetched.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(values(&records), ["a", "b", "c", "d", "e"]);
}
