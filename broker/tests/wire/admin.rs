use std::collections::HashMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::create_topics_response::CreatableTopicResult;
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
    MetadataRequest, TopicName,
};
use uuid::Uuid;

use crate::fixture::{create_topic, fetch_request, produce, produce_request, start};
use crate::wire::{Wire, batch, topic_name, values};

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    let topic = CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(partitions);
    topic.with_replication_factor(replication_factor)
}

async fn create(wire: &mut Wire, topic: CreatableTopic) -> CreatableTopicResult {
    wire.call(7, CreateTopicsRequest::default().with_topics(vec![topic])).await.topics.remove(0)
}

pub(crate) async fn delete_topic(wire: &mut Wire, name: &str) {
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]);
    assert_eq!(wire.call(5, request).await.responses[0].error_code, 0);
}

async fn topic_count(wire: &mut Wire) -> usize {
    wire.call(12, MetadataRequest::default().with_topics(None)).await.topics.len()
}

#[tokio::test]
async fn a_created_topic_is_answered_with_its_settings() {
    let (_broker, mut wire) = start().await;
    let created = create(&mut wire, topic("t", 2, -1)).await;
    assert_eq!((created.error_code, created.num_partitions, created.replication_factor), (0, 2, 1));
    let configs = created.configs.unwrap();
    let retention = configs.iter().find(|config| &*config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("604800000"), 5));
    assert_eq!(topic_count(&mut wire).await, 1);
}

#[tokio::test]
async fn what_cannot_be_created() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "a.b", 1).await;
    for (asked, error) in [
        (topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists),
        (topic("a_b", 1, 1), ErrorCode::InvalidTopicException),
        (topic("a/b", 1, 1), ErrorCode::InvalidTopicException),
        (topic("", 1, 1), ErrorCode::InvalidTopicException),
        (topic("t", 0, 1), ErrorCode::InvalidPartitions),
        (topic("t", -2, 1), ErrorCode::InvalidPartitions),
        (topic("t", i32::MAX, 1), ErrorCode::PolicyViolation),
        (topic("t", 1, 2), ErrorCode::InvalidReplicationFactor),
        (topic("t", 1, 0), ErrorCode::InvalidReplicationFactor),
    ] {
        let what = format!("{asked:?}");
        let refused = create(&mut wire, asked).await;
        assert_eq!(refused.error_code, error.code(), "{what}: {:?}", refused.error_message);
    }
    assert_eq!(topic_count(&mut wire).await, 1);
}

#[tokio::test]
async fn each_topic_of_a_request_succeeds_or_fails_on_its_own() {
    let (_broker, mut wire) = start().await;
    let topics = vec![topic("good", 1, 1), topic("b/ad", 1, 1), topic("twice", 1, 1), topic("twice", 1, 1)];
    let response = wire.call(7, CreateTopicsRequest::default().with_topics(topics)).await;
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    let twice = ErrorCode::InvalidRequest.code();
    assert_eq!(codes, [0, ErrorCode::InvalidTopicException.code(), twice]);
}

#[tokio::test]
async fn many_topics_of_a_request_are_in_place_when_it_is_answered() {
    let (_broker, mut wire) = start().await;
    let topics: Vec<_> = (0..50).map(|number| topic(&format!("t-{number}"), 2, 1)).collect();
    let created = wire.call(7, CreateTopicsRequest::default().with_topics(topics)).await.topics;
    assert!(created.iter().all(|created| created.error_code == 0 && created.num_partitions == 2));
    let described = wire.call(12, MetadataRequest::default().with_topics(None)).await.topics;
    let ids = |topics: Vec<(_, Uuid)>| topics.into_iter().collect::<HashMap<TopicName, Uuid>>();
    let created = ids(created.into_iter().map(|created| (created.name, created.topic_id)).collect());
    assert_eq!(
        ids(described.into_iter().map(|found| (found.name.unwrap(), found.topic_id)).collect()),
        created
    );
    assert_eq!(produce(&mut wire, "t-49", batch(&["a"])).await.error_code, 0);
    let delete = DeleteTopicsRequest::default().with_topic_names(created.into_keys().collect());
    let deleted = wire.call(5, delete).await.responses;
    assert!(deleted.len() == 50 && deleted.iter().all(|deleted| deleted.error_code == 0));
    assert_eq!(topic_count(&mut wire).await, 0);
}

#[tokio::test]
async fn names_that_collide_with_each_other_alone_are_created_as_kafka_creates_them() {
    let (_broker, mut wire) = start().await;
    let topics = vec![topic("a.b", 1, 1), topic("a_b", 1, 1)];
    let response = wire.call(7, CreateTopicsRequest::default().with_topics(topics)).await;
    assert!(response.topics.iter().all(|topic| topic.error_code == 0));
    delete_topic(&mut wire, "a.b").await;
    let refused = create(&mut wire, topic("a.b", 1, 1)).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidTopicException.code());
}

#[tokio::test]
async fn a_request_for_more_partitions_than_kafka_makes_is_refused_as_a_whole() {
    let (_broker, mut wire) = start().await;
    for (first, validate_only) in [(6_001, false), (6_001, true), (10_000, false)] {
        let topics =
            vec![topic("small", 1, 1), topic("t", first, 1), topic("u", 4_000, 1), topic("b/ad", 1, 1)];
        let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(validate_only);
        let response = wire.call(7, request).await;
        assert_eq!(response.topics.len(), 4);
        for refused in response.topics {
            assert_eq!(refused.error_code, ErrorCode::PolicyViolation.code());
            assert_eq!(
                refused.error_message.as_deref(),
                Some("Excessively large number of partitions per request.")
            );
        }
    }
    assert_eq!(topic_count(&mut wire).await, 0);
}

#[tokio::test]
async fn validate_only_creates_nothing() {
    let (_broker, mut wire) = start().await;
    let request = CreateTopicsRequest::default().with_topics(vec![topic("t", 1, 1)]).with_validate_only(true);
    assert_eq!(wire.call(7, request).await.topics[0].error_code, 0);
    assert_eq!(topic_count(&mut wire).await, 0);
}

#[tokio::test]
async fn a_manual_assignment_names_this_broker() {
    let (_broker, mut wire) = start().await;
    let assign = |index, node| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(vec![BrokerId(node)])
    };
    let with = |assignments| topic("t", -1, -1).with_assignments(assignments);
    let elsewhere = create(&mut wire, with(vec![assign(0, 9)])).await;
    assert_eq!(elsewhere.error_code, ErrorCode::InvalidReplicaAssignment.code());
    let with_gap = create(&mut wire, with(vec![assign(0, 1), assign(2, 1)])).await;
    assert_eq!(with_gap.error_code, ErrorCode::InvalidReplicaAssignment.code());
    let here = create(&mut wire, with(vec![assign(1, 1), assign(0, 1)])).await;
    assert_eq!((here.error_code, here.num_partitions), (0, 2));
}

#[tokio::test]
async fn a_recreated_topic_has_a_new_id_and_is_empty() {
    let (_broker, mut wire) = start().await;
    let old_id = create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    delete_topic(&mut wire, "t").await;
    let refused = produce(&mut wire, "t", batch(&["b"])).await;
    assert_eq!(refused.error_code, ErrorCode::UnknownTopicOrPartition.code());
    let new_id = create_topic(&mut wire, "t", 1).await;
    assert_ne!(new_id, old_id);
    assert_eq!(produce(&mut wire, "t", batch(&["c"])).await.base_offset, 0);
    let mut stale = produce_request("", 0, batch(&["d"]));
    stale.topic_data[0].topic_id = old_id;
    let response = wire.call(13, stale).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn topics_are_deleted_by_id_too() {
    let (_broker, mut wire) = start().await;
    let id = create_topic(&mut wire, "t", 1).await;
    let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let unknown = by_id(Uuid::from_u128(7));
    let response = wire.call(6, DeleteTopicsRequest::default().with_topics(vec![unknown, by_id(id)])).await;
    let codes: Vec<_> = response.responses.iter().map(|deleted| deleted.error_code).collect();
    assert_eq!(codes, [ErrorCode::UnknownTopicId.code(), 0]);
    assert_eq!(topic_count(&mut wire).await, 0);
    let again = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let response = wire.call(5, again).await;
    assert_eq!(response.responses[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn a_topic_that_is_named_twice_is_not_deleted() {
    let (_broker, mut wire) = start().await;
    let ids = [create_topic(&mut wire, "t", 1).await, create_topic(&mut wire, "u", 1).await];
    create_topic(&mut wire, "v", 1).await;
    let by_name = |name| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let topics = vec![
        by_name("t"),
        by_name("t"),
        by_name("u"),
        by_id(ids[1]),
        by_name("u").with_topic_id(ids[1]),
        by_id(Uuid::nil()),
        by_name("v"),
    ];
    let response = wire.call(6, DeleteTopicsRequest::default().with_topics(topics)).await;
    let mut answers: Vec<_> = response
        .responses
        .iter()
        .map(|answer| (answer.error_message.as_deref().unwrap_or_default(), answer.error_code))
        .collect();
    answers.sort_unstable();
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(
        answers,
        [
            ("", 0),
            ("Duplicate topic name.", invalid),
            ("Neither topic name nor id were specified.", invalid),
            ("The provided topic name maps to an ID that was already supplied.", invalid),
            ("You may not specify both topic name and topic id.", invalid),
        ]
    );
    assert_eq!(topic_count(&mut wire).await, 2);
    let twice = DeleteTopicsRequest::default().with_topics(vec![by_id(ids[0]), by_id(ids[0])]);
    let response = wire.call(6, twice).await;
    assert_eq!(response.responses[0].error_message.as_deref(), Some("Duplicate topic id."));
    assert_eq!((response.responses.len(), topic_count(&mut wire).await), (1, 2));
}

#[tokio::test]
async fn partitions_are_added_and_serve_at_once() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    produce(&mut wire, "t", batch(&["a"])).await;
    let grow = |name: &str, count| {
        let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count);
        topic.with_assignments(None)
    };
    for (asked, error) in [
        (grow("u", 2), ErrorCode::UnknownTopicOrPartition),
        (grow("t", 1), ErrorCode::InvalidPartitions),
        (grow("t", 0), ErrorCode::InvalidPartitions),
        (grow("t", i32::MAX), ErrorCode::InvalidPartitions),
        (grow("t", 2).with_assignments(Some(vec![])), ErrorCode::InvalidReplicaAssignment),
        (
            grow("t", 2).with_assignments(Some(vec![
                CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(9)]),
            ])),
            ErrorCode::InvalidReplicaAssignment,
        ),
    ] {
        let response = wire.call(3, CreatePartitionsRequest::default().with_topics(vec![asked])).await;
        assert_eq!(response.results[0].error_code, error.code(), "{:?}", response.results[0].error_message);
    }
    create_topic(&mut wire, "v", 1).await;
    create_topic(&mut wire, "twice", 1).await;
    let asked = ["t", "u", "v", "twice", "twice"].map(|name| grow(name, 3)).to_vec();
    let results = wire.call(3, CreatePartitionsRequest::default().with_topics(asked)).await.results;
    let codes: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    let (unknown, invalid) = (ErrorCode::UnknownTopicOrPartition.code(), ErrorCode::InvalidRequest.code());
    assert_eq!(codes, [("t", 0), ("u", unknown), ("v", 0), ("twice", invalid)]);
    let response = wire.call(12, produce_request("t", 2, batch(&["b"]))).await;
    assert_eq!(response.responses[0].partition_responses[0].base_offset, 0);
    let kept = wire.call(12, fetch_request("t", 0)).await;
    assert_eq!(values(kept.responses[0].partitions[0].records.as_ref().unwrap()), ["a"]);
}

#[tokio::test]
async fn the_log_directory_knows_its_partitions() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 2).await;
    let records = batch(&["a"]);
    produce(&mut wire, "t", records.clone()).await;
    let response = wire.call(4, DescribeLogDirsRequest::default().with_topics(None)).await;
    let sizes = response.results[0].topics[0].partitions.iter().map(|partition| partition.partition_size);
    assert_eq!(sizes.collect::<Vec<_>>(), [records.len() as i64, 0]);
}
