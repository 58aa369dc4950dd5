//! What most themes need: a broker, a topic, records in it.

use bytes::Bytes;
use ottla_broker::{Broker, Config};
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest};
use uuid::Uuid;

use crate::wire::{Wire, topic_name};

/// A broker and a connection to it.
pub(crate) async fn start() -> (Broker, Wire) {
    start_with(Config::ephemeral()).await
}

pub(crate) async fn start_with(config: Config) -> (Broker, Wire) {
    let broker = Broker::start(config).await.unwrap();
    let wire = Wire::connect(&broker).await;
    (broker, wire)
}

/// Creates a topic and answers its id.
pub(crate) async fn create_topic(wire: &mut Wire, name: &str, partitions: i32) -> Uuid {
    let topic = CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(partitions);
    let topic = topic.with_replication_factor(1);
    let response = wire.call(7, CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    response.topics[0].topic_id
}

pub(crate) fn produce_request(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let data = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![data])
}

/// Produces one batch, and answers what came of it.
pub(crate) async fn produce(wire: &mut Wire, topic: &str, records: Bytes) -> PartitionProduceResponse {
    let mut response = wire.call(12, produce_request(topic, 0, records)).await;
    response.responses.remove(0).partition_responses.remove(0)
}

/// A fetch of partition 0 of one topic by name, without a session and without waiting.
pub(crate) fn fetch_request(topic: &str, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_session_epoch(-1)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}
