//! OffsetCommit, OffsetFetch and OffsetDelete.

use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};

use crate::both::Both;
use crate::groups::group_id;
use crate::topics::TOPIC;
use crate::{text, topic_name};

pub(crate) async fn ask(both: &mut Both) {
    for (what, request) in [
        ("without a group's member", commit("simple", TOPIC, 0, 3)),
        ("of an unknown topic", commit("simple", "unknown", 0, 3)),
        ("of an unknown partition", commit("simple", TOPIC, 9, 3)),
        ("of a negative offset", commit("simple", TOPIC, 0, -5)),
        ("without a group", commit("", TOPIC, 0, 3)),
        ("by an unknown member", commit("simple", TOPIC, 0, 4).with_member_id(text("nobody"))),
        ("of a later generation", commit("simple", TOPIC, 0, 5).with_generation_id_or_member_epoch(7)),
        ("with too much metadata", with_metadata(&"m".repeat(5_000))),
        ("with metadata", with_metadata("where I was")),
    ] {
        for version in [2, 8, 9] {
            both.ask(&format!("OffsetCommit v{version}: {what}"), version, request.clone(), |response| {
                let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
                partitions.map(|partition| partition.error_code).collect::<Vec<_>>()
            })
            .await;
        }
    }
    for (what, group, topic) in [
        ("a group", "simple", TOPIC),
        ("an unknown group", "unknown", TOPIC),
        ("an unknown topic", "simple", "unknown"),
    ] {
        fetch(both, what, group, topic).await;
    }
    for (what, group, topic) in [
        ("a topic", "simple", TOPIC),
        ("an unknown topic", "simple", "unknown"),
        ("an unknown group", "unknown", TOPIC),
    ] {
        delete(both, what, group, topic).await;
    }
    fetch(both, "a group without offsets", "simple", TOPIC).await;
}

fn commit(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1);
    let topic =
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

fn with_metadata(metadata: &str) -> OffsetCommitRequest {
    let mut request = commit("simple", TOPIC, 0, 6);
    request.topics[0].partitions[0].committed_metadata = Some(text(metadata));
    request
}

async fn fetch(both: &mut Both, what: &str, group: &str, topic: &str) {
    let topics =
        OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(vec![0, 9]);
    for topics in [Some(vec![topics]), None] {
        let all = topics.is_none();
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_member_epoch(-1)
            .with_topics(topics);
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        both.ask(&format!("OffsetFetch: {what}, all {all}"), 9, request, |response| {
            let groups = response.groups.into_iter().map(|group| {
                let partitions = group.topics.into_iter().flat_map(|topic| topic.partitions);
                let partitions = partitions.map(|partition| {
                    let metadata = partition.metadata.map(|metadata| metadata.to_string());
                    (partition.error_code, partition.partition_index, partition.committed_offset, metadata)
                });
                (group.error_code, partitions.collect::<Vec<_>>())
            });
            groups.collect::<Vec<_>>()
        })
        .await;
    }
}

async fn delete(both: &mut Both, what: &str, group: &str, topic: &str) {
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(vec![topic]);
    both.ask(&format!("OffsetDelete: {what}"), 0, request, |response| {
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        (response.error_code, partitions.map(|partition| partition.error_code).collect::<Vec<_>>())
    })
    .await;
}
