//! CreateTopics, DeleteTopics, CreatePartitions, Metadata, DescribeTopicPartitions; what they and ListOffsets are asked
//! for twice.

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::describe_topic_partitions_request::TopicRequest;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, ListOffsetsRequest, MetadataRequest,
};

use crate::both::Both;
use crate::{text, topic_name};

/// Exists from here on, with two partitions.
pub(crate) const TOPIC: &str = "known";

pub(crate) async fn ask(both: &mut Both) {
    create(both).await;
    add_partitions(both).await;
    look_up(both).await;
    look_up_twice(both).await;
    list_offsets_twice(both).await;
    delete(both).await;
}

async fn create(both: &mut Both) {
    let config = |name: &str, value: &str| {
        let config = CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)));
        creatable("configured", 1, 1).with_configs(vec![config])
    };
    let assigned = |brokers: &[i32]| {
        let brokers = brokers.iter().map(|id| BrokerId(*id)).collect();
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(brokers);
        creatable("assigned", -1, -1).with_assignments(vec![assignment])
    };
    for (what, topics) in [
        ("a new topic", vec![creatable(TOPIC, 2, 1)]),
        ("a topic that exists", vec![creatable(TOPIC, 2, 1)]),
        ("default partitions and replicas", vec![creatable("defaults", -1, -1)]),
        ("an empty name", vec![creatable("", 1, 1)]),
        ("a name with a space", vec![creatable("a b", 1, 1)]),
        ("the name .", vec![creatable(".", 1, 1)]),
        ("a name of 250 characters", vec![creatable(&"n".repeat(250), 1, 1)]),
        ("no partitions", vec![creatable("t", 0, 1)]),
        ("fewer than no partitions", vec![creatable("t", -2, 1)]),
        ("no replicas", vec![creatable("t", 1, 0)]),
        ("more replicas than brokers", vec![creatable("t", 1, 2)]),
        ("the same topic twice", vec![creatable("twice", 1, 1), creatable("twice", 1, 1)]),
        ("more partitions than a request makes", vec![creatable("t", 6_000, 1), creatable("u", 4_001, 1)]),
        ("names that collide", vec![creatable("collides.a", 1, 1), creatable("collides_a", 1, 1)]),
        ("an unknown setting", vec![config("no.such.setting", "1")]),
        ("a setting that is no number", vec![config("retention.ms", "soon")]),
        ("a setting out of range", vec![config("max.message.bytes", "-1")]),
        ("a policy that does not exist", vec![config("cleanup.policy", "keep")]),
        ("an assignment to a broker that does not exist", vec![assigned(&[99])]),
        ("an assignment to nobody", vec![assigned(&[])]),
        ("no topics", vec![]),
    ] {
        for validate_only in [true, false] {
            let request = CreateTopicsRequest::default().with_topics(topics.clone()).with_timeout_ms(10_000);
            let request = request.with_validate_only(validate_only);
            let what = format!("CreateTopics: {what}, validate_only {validate_only}");
            both.ask(&what, 7, request, |response| {
                let topics = response.topics.into_iter();
                topics
                    .map(|topic| (topic.error_code, topic.num_partitions, topic.replication_factor))
                    .collect::<Vec<_>>()
            })
            .await;
        }
    }
}

fn creatable(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    let topic = CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(partitions);
    topic.with_replication_factor(replication_factor)
}

async fn add_partitions(both: &mut Both) {
    for (topic, count) in
        [("defaults", 3), ("defaults", 3), ("defaults", 1), ("defaults", 0), ("defaults", -1), ("unknown", 2)]
    {
        let wanted = CreatePartitionsTopic::default()
            .with_name(topic_name(topic))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        both.ask(&format!("CreatePartitions: {topic} to {count}"), 3, request, |response| {
            response.results.into_iter().map(|topic| topic.error_code).collect::<Vec<_>>()
        })
        .await;
    }
    let wanted = CreatePartitionsTopic::default().with_name(topic_name("defaults")).with_count(5);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![wanted.clone().with_assignments(None), wanted.with_assignments(None)])
        .with_timeout_ms(10_000);
    both.ask("CreatePartitions: the same topic twice", 3, request, |response| {
        response.results.into_iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    })
    .await;
}

async fn look_up(both: &mut Both) {
    for name in [TOPIC, "unknown", "a b", ""] {
        for auto_create in [false, true] {
            if name == "unknown" && auto_create {
                continue; // Kafka answers before it has created it.
            }
            let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            let request = MetadataRequest::default()
                .with_topics(Some(vec![topic]))
                .with_allow_auto_topic_creation(auto_create);
            both.ask(&format!("Metadata: {name:?}, create {auto_create}"), 9, request, |response| {
                let topics = response.topics.into_iter();
                topics
                    .map(|topic| (topic.error_code, topic.is_internal, topic.partitions.len()))
                    .collect::<Vec<_>>()
            })
            .await;
        }
        if name.is_empty() {
            continue; // To DescribeTopicPartitions, Kafka answers UNKNOWN_SERVER_ERROR.
        }
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(vec![TopicRequest::default().with_name(topic_name(name))])
            .with_response_partition_limit(10);
        both.ask(&format!("DescribeTopicPartitions: {name:?}"), 0, request, |response| {
            let topics = response.topics.into_iter();
            topics.map(|topic| (topic.error_code, topic.partitions.len())).collect::<Vec<_>>()
        })
        .await;
    }
}

async fn look_up_twice(both: &mut Both) {
    let topic = |name| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default()
        .with_topics(Some(["unknown", TOPIC, "unknown", TOPIC].map(topic).to_vec()))
        .with_allow_auto_topic_creation(false);
    both.ask("Metadata: topics twice", 9, request, |response| {
        let topics = response.topics.into_iter();
        sorted(topics.map(|topic| (topic.name.unwrap_or_default(), topic.error_code)))
    })
    .await;
}

async fn list_offsets_twice(both: &mut Both) {
    let partitions = [0, 1, 0].map(|index| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(-1)
            .with_current_leader_epoch(-1)
    });
    let topic = ListOffsetsTopic::default().with_name(topic_name(TOPIC)).with_partitions(partitions.to_vec());
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    both.ask("ListOffsets: a partition twice", 8, request, |response| {
        let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
        sorted(partitions.map(|found| (found.partition_index, found.error_code, found.offset)))
    })
    .await;
}

async fn delete(both: &mut Both) {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(["defaults", "defaults", "unknown"].map(topic_name).to_vec())
        .with_timeout_ms(10_000);
    both.ask("DeleteTopics: a topic twice", 5, request, |response| {
        let topics = response.responses.into_iter();
        sorted(topics.map(|topic| (topic.name.unwrap_or_default(), topic.error_code)))
    })
    .await;
    for name in ["defaults", "defaults", "unknown", "a b", ""] {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(10_000);
        both.ask(&format!("DeleteTopics: {name:?}"), 5, request, |response| {
            response.responses.into_iter().map(|topic| topic.error_code).collect::<Vec<_>>()
        })
        .await;
    }
}

/// Kafka answers in no order.
fn sorted<T: Ord>(answers: impl Iterator<Item = T>) -> Vec<T> {
    let mut answers: Vec<T> = answers.collect();
    answers.sort_unstable();
    answers
}
