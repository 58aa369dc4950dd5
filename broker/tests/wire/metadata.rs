use ottla_broker::{Broker, Config};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_topic_partitions_request::TopicRequest;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeTopicPartitionsRequest, FindCoordinatorRequest, MetadataRequest,
};
use uuid::Uuid;

use crate::fixture::{create_topic, start, start_with};
use crate::wire::{text, topic_name};

fn ask(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(true)
}

fn port(broker: &Broker) -> i32 {
    broker.bootstrap_servers().rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn every_version_describes_broker_and_topic() {
    let (broker, mut wire) = start().await;
    let topic_id = create_topic(&mut wire, "t", 3).await;
    for version in 0..=13 {
        let response = wire.call(version, ask(&["t"])).await;
        let node = &response.brokers[0];
        assert_eq!((&*node.host, node.port), ("localhost", port(&broker)), "version {version}");
        let topic = &response.topics[0];
        assert_eq!((topic.error_code, topic.partitions.len()), (0, 3), "version {version}");
        assert!(topic.partitions.iter().all(|partition| partition.leader_id == node.node_id));
        if version >= 10 {
            assert_eq!(topic.topic_id, topic_id);
        }
    }
}

#[tokio::test]
async fn a_topic_is_created_when_it_is_first_asked_for_and_leads_at_once() {
    let config = Config::ephemeral().with("num.partitions", "4").unwrap();
    let (_broker, mut wire) = start_with(config).await;
    let response = wire.call(12, ask(&["new"])).await;
    assert_eq!((response.topics[0].error_code, response.topics[0].partitions.len()), (0, 4));
    assert_eq!(
        wire.call(3, ask(&["older"])).await.topics[0].error_code,
        0,
        "before v4 no client could say no"
    );
}

#[tokio::test]
async fn those_of_a_request_that_can_be_created_are() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "there", 1).await;
    let asked = ask(&["a.b", "a b", "there", "c", "a_b", "__consumer_offsets"]);
    let response = wire.call(12, asked).await;
    let answers: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.name.as_ref().unwrap().as_str(), topic.error_code))
        .collect();
    let (invalid, unknown) =
        (ErrorCode::InvalidTopicException.code(), ErrorCode::UnknownTopicOrPartition.code());
    let expected =
        [("a.b", 0), ("a b", invalid), ("there", 0), ("c", 0), ("a_b", 0), ("__consumer_offsets", unknown)];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn what_is_asked_for_twice_is_answered_once() {
    let (_broker, mut wire) = start().await;
    let id = create_topic(&mut wire, "t", 3).await;
    let asked = ask(&["t", "new", "t", "a b", "new", "a b"]);
    let response = wire.call(12, asked).await;
    let names: Vec<_> = response.topics.iter().map(|topic| topic.name.as_ref().unwrap().as_str()).collect();
    assert_eq!(names, ["t", "new", "a b"]);
    let by_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let unknown = Uuid::from_u128(7);
    let asked = [id, unknown, id, unknown].map(by_id).to_vec();
    let response = wire.call(12, MetadataRequest::default().with_topics(Some(asked))).await;
    let ids: Vec<_> = response.topics.iter().map(|topic| topic.topic_id).collect();
    assert_eq!(ids, [id, unknown]);
}

#[tokio::test]
async fn no_topic_is_created_where_client_or_broker_forbid_it() {
    let (_broker, mut wire) = start().await;
    let response = wire.call(12, ask(&["t"]).with_allow_auto_topic_creation(false)).await;
    assert_eq!(response.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(wire.call(12, MetadataRequest::default().with_topics(None)).await.topics.len(), 0);

    let config = Config::ephemeral().with("auto.create.topics.enable", "false").unwrap();
    let (_broker, mut wire) = start_with(config).await;
    let response = wire.call(12, ask(&["t"])).await;
    assert_eq!(response.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn invalid_names_and_unknown_ids() {
    let (_broker, mut wire) = start().await;
    for name in ["", "a b", "..", "ä"] {
        let response = wire.call(12, ask(&[name])).await;
        assert_eq!(response.topics[0].error_code, ErrorCode::InvalidTopicException.code(), "{name:?}");
    }
    let unknown = MetadataRequestTopic::default().with_name(None).with_topic_id(Uuid::from_u128(7));
    let response = wire.call(12, MetadataRequest::default().with_topics(Some(vec![unknown]))).await;
    assert_eq!(response.topics[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn null_asks_for_all_topics_and_empty_for_none() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "b", 1).await;
    create_topic(&mut wire, "a", 1).await;
    let all = wire.call(12, MetadataRequest::default().with_topics(None)).await;
    let names: Vec<_> = all.topics.iter().map(|topic| topic.name.as_ref().unwrap().to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(wire.call(12, ask(&[])).await.topics.len(), 0);
    assert_eq!(wire.call(0, ask(&[])).await.topics.len(), 2, "v0 has no null");
}

#[tokio::test]
async fn the_cluster_is_this_broker() {
    let (broker, mut wire) = start().await;
    let metadata = wire.call(12, ask(&[])).await;
    let cluster = wire.call(2, DescribeClusterRequest::default().with_endpoint_type(1)).await;
    assert_eq!(Some(&cluster.cluster_id), metadata.cluster_id.as_ref());
    assert_eq!((cluster.brokers.len(), cluster.brokers[0].port), (1, port(&broker)));
    assert_eq!(cluster.controller_id, metadata.controller_id);
    let controllers = wire.call(2, DescribeClusterRequest::default().with_endpoint_type(2)).await;
    assert_eq!(controllers.error_code, ErrorCode::MismatchedEndpointType.code());
}

#[tokio::test]
async fn this_broker_coordinates_every_group_and_transactional_id() {
    let (broker, mut wire) = start().await;
    for version in 0..=3 {
        for key_type in 0..=i8::from(version > 0) {
            let request = FindCoordinatorRequest::default().with_key(text("g")).with_key_type(key_type);
            let found = wire.call(version, request).await;
            assert_eq!((found.error_code, &*found.host, found.port), (0, "localhost", port(&broker)));
        }
    }
    for (version, key_type) in [(4, 0), (4, 1), (5, 0), (5, 1), (6, 0), (6, 1)] {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("h")]);
        let found = wire.call(version, request.with_key_type(key_type)).await;
        assert!(found.coordinators.iter().all(|found| found.error_code == 0 && found.port == port(&broker)));
        assert_eq!(found.coordinators.len(), 2);
    }
}

#[tokio::test]
async fn partitions_are_described_in_pages() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "a", 3).await;
    create_topic(&mut wire, "b", 3).await;
    let names = ["a", "b", "nowhere"].map(|name| TopicRequest::default().with_name(topic_name(name)));
    let mut request = DescribeTopicPartitionsRequest::default().with_topics(names.to_vec());
    request.response_partition_limit = 4;
    let first = wire.call(0, request.clone()).await;
    let counts: Vec<_> = first.topics.iter().map(|topic| topic.partitions.len()).collect();
    assert_eq!(counts, [3, 1]);
    let next = first.next_cursor.unwrap();
    assert_eq!((&**next.topic_name, next.partition_index), ("b", 1));
    let cursor = ottla_protocol::messages::describe_topic_partitions_request::Cursor::default();
    request.cursor = Some(cursor.with_topic_name(next.topic_name).with_partition_index(next.partition_index));
    let second = wire.call(0, request).await;
    assert_eq!(second.topics[0].partitions.iter().map(|p| p.partition_index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(second.topics[1].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert!(second.next_cursor.is_none());
}
