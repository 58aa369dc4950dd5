//! DeleteRecords and retention, as clients see them.

use std::path::Path;
use std::time::Duration;

use ottla_broker::{Broker, Clock, Config};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::fetch_response::PartitionData;
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, FetchRequest, FetchResponse, IncrementalAlterConfigsRequest,
};

use crate::admin::delete_topic;
use crate::fixture::{create_topic, fetch_request, produce, start, start_with};
use crate::wire::{Wire, batch, text, topic_name, values};

/// Low watermark and error code.
async fn delete_records(wire: &mut Wire, topic: &str, partition: i32, offset: i64) -> (i64, i16) {
    delete_records_as(2, wire, topic, partition, offset).await
}

async fn delete_records_as(
    version: i16,
    wire: &mut Wire,
    topic: &str,
    partition: i32,
    offset: i64,
) -> (i64, i16) {
    let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
    let response = wire.call(version, request).await;
    let partition = &response.topics[0].partitions[0];
    (partition.low_watermark, partition.error_code)
}

async fn fetch(wire: &mut Wire, offset: i64) -> PartitionData {
    partition_of(wire.call(12, fetch_request("t", offset)).await)
}

fn partition_of(mut response: FetchResponse) -> PartitionData {
    response.responses.remove(0).partitions.remove(0)
}

async fn create_with(wire: &mut Wire, name: &str, value: &str) {
    let config = CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    let response = wire.call(7, CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(response.topics[0].error_code, 0);
}

async fn produce_values(wire: &mut Wire, values: &[&str]) {
    for value in values {
        assert_eq!(produce(wire, "t", batch(&[value])).await.error_code, 0);
    }
}

/// A fetch from the front that is answered only when the front is gone.
async fn wait_until_the_front_is_gone(broker: &Broker) -> impl Future<Output = PartitionData> {
    let waiting = fetch_request("t", 0).with_min_bytes(1 << 20).with_max_wait_ms(i32::MAX);
    let mut waiter = Wire::connect(broker).await;
    let correlation_id = waiter.send(12, waiting).await;
    async move { partition_of(waiter.receive::<FetchRequest>(12, correlation_id).await) }
}

#[tokio::test]
async fn records_below_the_offset_are_gone() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b", "c"]).await;
    assert_eq!(delete_records(&mut wire, "t", 0, 2).await, (2, 0));
    assert_eq!(delete_records(&mut wire, "t", 0, 1).await, (2, 0), "a start does not go back");
    let below = fetch(&mut wire, 1).await;
    assert_eq!(below.error_code, ErrorCode::OffsetOutOfRange.code());
    let left = fetch(&mut wire, 2).await;
    assert_eq!((left.log_start_offset, values(&left.records.unwrap())), (2, vec!["c".to_owned()]));
    assert_eq!(delete_records(&mut wire, "t", 0, -1).await, (3, 0), "-1 is the high watermark");
    assert_eq!(produce(&mut wire, "t", batch(&["d"])).await.base_offset, 3);
}

#[tokio::test]
async fn checklist_17_delete_records_is_refused_where_kafka_refuses_it() {
    let (_broker, mut wire) = start().await;
    create_with(&mut wire, "cleanup.policy", "compact").await;
    create_topic(&mut wire, "u", 1).await;
    let refused = |error: ErrorCode| (-1, error.code());
    assert_eq!(delete_records(&mut wire, "t", 0, 0).await, refused(ErrorCode::PolicyViolation));
    for offset in [1, -2, i64::MAX] {
        let beyond = delete_records(&mut wire, "u", 0, offset).await;
        assert_eq!(beyond, refused(ErrorCode::OffsetOutOfRange), "{offset}");
    }
    let unknown = refused(ErrorCode::UnknownTopicOrPartition);
    assert_eq!(delete_records(&mut wire, "u", 1, 0).await, unknown);
    assert_eq!(delete_records(&mut wire, "v", 0, 0).await, unknown);
}

#[tokio::test]
async fn records_are_deleted_in_every_version() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b", "c"]).await;
    for version in 0..=2 {
        let start = i64::from(version) + 1;
        assert_eq!(delete_records_as(version, &mut wire, "t", 0, start).await, (start, 0), "v{version}");
    }
}

#[tokio::test]
async fn a_fetch_that_waits_below_the_new_start_is_told() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b"]).await;
    let told = wait_until_the_front_is_gone(&broker).await;
    assert_eq!(delete_records(&mut wire, "t", 0, -1).await, (2, 0));
    assert_eq!(told.await.error_code, ErrorCode::OffsetOutOfRange.code());
}

#[tokio::test]
async fn checklist_17_the_log_start_survives_a_kill_right_after_the_answer() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_broker, mut wire) = start_with(Config::ephemeral().with_data_dir(dir.path())).await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b", "c"]).await;
    assert_eq!(delete_records(&mut wire, "t", 0, 2).await, (2, 0));
    // What is in the files now is what a kill leaves.
    copy(dir.path(), killed.path());
    let (_next, mut wire) = start_with(Config::ephemeral().with_data_dir(killed.path())).await;
    assert_eq!(fetch(&mut wire, 1).await.error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(values(&fetch(&mut wire, 2).await.records.unwrap()), ["c"]);
}

#[tokio::test]
async fn a_new_topic_does_not_begin_where_a_deleted_one_of_its_name_did() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_broker, mut wire) = start_with(Config::ephemeral().with_data_dir(dir.path())).await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b"]).await;
    assert_eq!(delete_records(&mut wire, "t", 0, 2).await, (2, 0));
    delete_topic(&mut wire, "t").await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["c"]).await;
    copy(dir.path(), killed.path());
    let (_next, mut wire) = start_with(Config::ephemeral().with_data_dir(killed.path())).await;
    assert_eq!(values(&fetch(&mut wire, 0).await.records.unwrap()), ["c"]);
}

#[tokio::test]
async fn records_whose_retention_is_over_are_gone_and_the_log_goes_on() {
    let clock = Clock::manual(Clock::system().now_ms());
    let (broker, mut wire) = start_with(Config::ephemeral().with_clock(clock.clone())).await;
    create_topic(&mut wire, "t", 1).await;
    produce_values(&mut wire, &["a", "b"]).await;
    let gone = wait_until_the_front_is_gone(&broker).await;
    clock.advance(Duration::from_secs(7 * 24 * 3600 + 60));
    assert_eq!(gone.await.error_code, ErrorCode::OffsetOutOfRange.code());
    let end = fetch(&mut wire, 2).await;
    assert_eq!((end.error_code, end.log_start_offset, end.high_watermark), (0, 2, 2));
    assert_eq!(produce(&mut wire, "t", batch(&["c"])).await.base_offset, 2);
}

#[tokio::test]
async fn a_topic_whose_retention_is_lowered_loses_records_at_the_next_check() {
    let clock = Clock::manual(Clock::system().now_ms());
    let (broker, mut wire) = start_with(Config::ephemeral().with_clock(clock.clone())).await;
    create_with(&mut wire, "segment.bytes", "100").await;
    produce_values(&mut wire, &["a", "b", "c"]).await;
    let gone = wait_until_the_front_is_gone(&broker).await;
    let config = AlterableConfig::default().with_name(text("retention.bytes")).with_value(Some(text("100")));
    let topic = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let altered = wire.call(1, IncrementalAlterConfigsRequest::default().with_resources(vec![topic])).await;
    assert_eq!(altered.responses[0].error_code, 0);
    clock.advance(Duration::from_secs(301));
    assert_eq!(gone.await.error_code, ErrorCode::OffsetOutOfRange.code());
    let left = fetch(&mut wire, 1).await;
    assert_eq!((left.log_start_offset, values(&left.records.unwrap())), (1, vec!["b".to_owned()]));
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
