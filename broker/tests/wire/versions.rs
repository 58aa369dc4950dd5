//! Every version of the APIs whose own themes test one: a response that cannot be encoded closes the connection.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeLogDirsRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, OffsetForLeaderEpochRequest,
};

use crate::fixture::{create_topic, fetch_request, produce, produce_request, start};
use crate::wire::{batch, text, topic_name};

#[tokio::test]
async fn topics_come_and_go_in_every_version() {
    let (_broker, mut wire) = start().await;
    for version in 2..=7 {
        let topic = CreatableTopic::default().with_name(topic_name("t")).with_num_partitions(1);
        let topic = topic.with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        assert_eq!(wire.call(version, request.clone()).await.topics[0].error_code, 0, "v{version}");
        let exists = wire.call(version, request).await.topics[0].error_code;
        assert_eq!(exists, ErrorCode::TopicAlreadyExists.code(), "v{version}");
        crate::admin::delete_topic(&mut wire, "t").await;
    }
    for version in 1..=6 {
        create_topic(&mut wire, "t", 1).await;
        let request = if version < 6 {
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")])
        } else {
            let topic = DeleteTopicState::default().with_name(Some(topic_name("t")));
            DeleteTopicsRequest::default().with_topics(vec![topic])
        };
        assert_eq!(wire.call(version, request.clone()).await.responses[0].error_code, 0, "v{version}");
        let gone = wire.call(version, request).await.responses[0].error_code;
        assert_eq!(gone, ErrorCode::UnknownTopicOrPartition.code(), "v{version}");
    }
}

#[tokio::test]
async fn partitions_are_added_in_every_version() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for version in 0..=3 {
        let count = i32::from(version) + 2;
        let topic = CreatePartitionsTopic::default().with_name(topic_name("t")).with_count(count);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic.with_assignments(None)]);
        assert_eq!(wire.call(version, request).await.results[0].error_code, 0, "v{version}");
    }
}

#[tokio::test]
async fn settings_are_described_and_changed_in_every_version() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for version in 1..=4 {
        let resource = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text("t"));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let described = wire.call(version, request.with_include_synonyms(true)).await.results.remove(0);
        assert_eq!((described.error_code, described.configs.is_empty()), (0, false), "v{version}");
    }
    for version in 0..=1 {
        let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("t"));
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        assert_eq!(wire.call(version, request).await.responses[0].error_code, 0, "v{version}");
    }
}

#[tokio::test]
async fn the_cluster_and_its_disk_are_described_in_every_version() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for version in 0..=2 {
        let request = DescribeClusterRequest::default().with_endpoint_type(1);
        assert_eq!(wire.call(version, request).await.brokers.len(), 1, "v{version}");
    }
    for version in 1..=4 {
        let response = wire.call(version, DescribeLogDirsRequest::default().with_topics(None)).await;
        assert_eq!(response.results[0].topics.len(), 1, "v{version}");
    }
}

#[tokio::test]
async fn producer_ids_are_given_in_every_version() {
    let (_broker, mut wire) = start().await;
    let mut last = -1;
    for version in 0..=5 {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let given = wire.call(version, request).await;
        assert!(given.error_code == 0 && given.producer_id.0 > last, "v{version}");
        last = given.producer_id.0;
    }
}

#[tokio::test]
async fn coordinators_that_there_are_none_of_are_refused_in_every_version() {
    let (_broker, mut wire) = start().await;
    for version in 1..=6 {
        let request = FindCoordinatorRequest::default().with_key_type(2);
        let (request, single) = match version {
            ..4 => (request.with_key(text("share")), true),
            _ => (request.with_coordinator_keys(vec![text("share")]), false),
        };
        let response = wire.call(version, request).await;
        let code = if single { response.error_code } else { response.coordinators[0].error_code };
        assert_eq!(code, ErrorCode::UnsupportedVersion.code(), "v{version}");
    }
}

#[tokio::test]
async fn the_end_of_a_leader_epoch_is_found_in_every_version() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a", "b"])).await;
    for version in 2..=4 {
        for (epoch, expected) in [(0, (0, 0, 2)), (7, (0, -1, -1))] {
            let partition =
                OffsetForLeaderPartition::default().with_current_leader_epoch(-1).with_leader_epoch(epoch);
            let topic =
                OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
            let response =
                wire.call(version, OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
            let found = &response.topics[0].partitions[0];
            assert_eq!(
                (found.error_code, found.leader_epoch, found.end_offset),
                expected,
                "epoch {epoch}, v{version}"
            );
        }
    }
}

#[tokio::test]
async fn errors_of_produce_and_fetch_are_told_in_every_version() {
    let (_broker, mut wire) = start().await;
    for version in 3..=12 {
        let response = wire.call(version, produce_request("nowhere", 0, batch(&["a"]))).await;
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code(), "Produce v{version}");
    }
    for version in 4..=12 {
        let response = wire.call(version, fetch_request("nowhere", 0)).await;
        let code = response.responses[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code(), "Fetch v{version}");
    }
}
