use std::path::Path;

use ottla_broker::Config;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{
    DeleteTopicsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};

use crate::fixture::{create_topic, start, start_with};
use crate::groups::{group_id, is_alive, stable_group};
use crate::wire::{Wire, text, topic_name};

const NO_OFFSET: i64 = -1;

/// A commit of partition 0 by a consumer without a group.
fn commit_request(topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(text("where I was")));
    let topic =
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group_id("g"))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

pub(crate) async fn commit(wire: &mut Wire, topic: &str, offset: i64) -> i16 {
    wire.call(9, commit_request(topic, offset)).await.topics[0].partitions[0].error_code
}

pub(crate) async fn committed(wire: &mut Wire, topic: &str) -> i64 {
    let topics =
        OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("g"))
        .with_member_epoch(-1)
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default().with_require_stable(true).with_groups(vec![group]);
    wire.call(9, request).await.groups[0].topics[0].partitions[0].committed_offset
}

#[tokio::test]
async fn every_version_is_served() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for version in 2..=9 {
        let response = wire.call(version, commit_request("t", i64::from(version))).await;
        assert_eq!(response.topics[0].partitions[0].error_code, 0, "OffsetCommit v{version}");
        assert_eq!(committed(&mut wire, "t").await, i64::from(version));
    }
    for version in 1..=7 {
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0, 1]);
        let request =
            OffsetFetchRequest::default().with_group_id(group_id("g")).with_topics(Some(vec![topic]));
        let partitions = wire.call(version, request).await.topics.remove(0).partitions;
        let offsets: Vec<i64> = partitions.iter().map(|partition| partition.committed_offset).collect();
        assert_eq!(offsets, [9, NO_OFFSET], "OffsetFetch v{version}");
        assert_eq!(partitions[0].metadata, Some(text("where I was")), "OffsetFetch v{version}");
    }
    for version in 8..=9 {
        let all = |name| OffsetFetchRequestGroup::default().with_group_id(group_id(name)).with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![all("g"), all("nobody")]);
        let groups = wire.call(version, request).await.groups;
        assert_eq!(groups[0].topics[0].partitions[0].committed_offset, 9, "OffsetFetch v{version}");
        assert!(groups[1].topics.is_empty() && groups[1].error_code == 0, "OffsetFetch v{version}");
    }
}

#[tokio::test]
async fn a_commit_needs_its_topic_its_generation_and_short_metadata() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    assert_eq!(commit(&mut wire, "nowhere", 1).await, ErrorCode::UnknownTopicOrPartition.code());
    let mut verbose = commit_request("t", 1);
    verbose.topics[0].partitions[0].committed_metadata = Some(text(&"m".repeat(4_097)));
    let response = wire.call(9, verbose).await;
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::OffsetMetadataTooLarge.code());
    for (version, error) in [(8, ErrorCode::IllegalGeneration), (9, ErrorCode::GroupIdNotFound)] {
        let of_generation = commit_request("t", 1).with_generation_id_or_member_epoch(3);
        let response = wire.call(version, of_generation).await;
        assert_eq!(response.topics[0].partitions[0].error_code, error.code(), "v{version}");
    }
    assert_eq!(committed(&mut wire, "t").await, NO_OFFSET);
}

#[tokio::test]
async fn offsets_are_deleted_on_request_unless_a_member_reads_the_topic() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    commit(&mut wire, "t", 5).await;
    let request = || {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic =
            OffsetDeleteRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        OffsetDeleteRequest::default().with_group_id(group_id("g")).with_topics(vec![topic])
    };
    let deleted = wire.call(0, request()).await;
    assert_eq!((deleted.error_code, deleted.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(committed(&mut wire, "t").await, NO_OFFSET);

    // A member whose subscription cannot be read counts as subscribed to everything.
    stable_group(&mut wire, "g").await;
    let refused = wire.call(0, request()).await;
    assert_eq!(refused.topics[0].partitions[0].error_code, ErrorCode::GroupSubscribedToTopic.code());
}

#[tokio::test]
async fn a_deleted_topic_takes_its_offsets_along() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    commit(&mut wire, "t", 5).await;
    wire.call(5, DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")])).await;
    create_topic(&mut wire, "t", 1).await;
    assert_eq!(committed(&mut wire, "t").await, NO_OFFSET);
}

#[tokio::test]
async fn groups_and_offsets_are_found_again_by_the_next_broker() {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config::ephemeral().with_data_dir(dir.path());
    let (broker, mut wire) = start_with(config()).await;
    create_topic(&mut wire, "t", 1).await;
    commit(&mut wire, "t", 5).await;
    let member = stable_group(&mut wire, "busy").await;
    broker.shutdown().await;

    let (_broker, mut wire) = start_with(config()).await;
    assert_eq!(committed(&mut wire, "t").await, 5);
    assert!(is_alive(&mut wire, "busy", &member).await, "the generation goes on");
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    // Kafka's number of partitions.
    let config = |dir: &Path| {
        Config::ephemeral().with_data_dir(dir).with("offsets.topic.num.partitions", "50").unwrap()
    };
    let (_broker, mut wire) = start_with(config(dir.path())).await;
    create_topic(&mut wire, "t", 1).await;
    let member = stable_group(&mut wire, "busy").await;
    for offset in 0..100 {
        commit(&mut wire, "t", offset).await;
    }
    // What is in the files of a broker that runs is what a killed one leaves behind.
    copy(dir.path(), killed.path());

    let (_broker, mut wire) = start_with(config(killed.path())).await;
    assert_eq!(committed(&mut wire, "t").await, 99);
    assert!(is_alive(&mut wire, "busy", &member).await, "the generation goes on");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
