//! DescribeProducers v0 (KIP-664).
//!
//! The idempotent and transactional producers that a partition's log remembers, each with the start of its open
//! transaction. `kafka-transactions find-hanging` looks here for transactions that no coordinator knows of.

use std::sync::Arc;

use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use ottla_storage::ActiveProducer;

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::append_error_code;
use crate::state::BrokerState;
use crate::topic_name;
use crate::topics::Topic;

/// Stands for the start of a transaction when none is open.
const NONE: i64 = -1;

impl Handler for DescribeProducersRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 0 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DescribeProducersResponse {
        let topics = self.topics.into_iter().map(|asked| answer(&broker, asked));
        DescribeProducersResponse::default().with_topics(topics.collect())
    }
}

/// Why a whole topic is not described.
struct Refused {
    error: ErrorCode,
    message: String,
}

fn answer(broker: &BrokerState, asked: TopicRequest) -> TopicResponse {
    let topic = find(broker, &asked.name);
    let partitions = asked.partition_indexes.into_iter().map(|index| match &topic {
        Ok(topic) => describe(topic, index),
        Err(Refused { error, message }) => PartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message.clone()))),
    });
    TopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
}

fn find(broker: &BrokerState, name: &str) -> Result<Arc<Topic>, Refused> {
    topic_name::validate(name).map_err(|invalid| Refused {
        error: ErrorCode::InvalidTopicException,
        message: invalid.to_string(),
    })?;
    broker.topics.by_name(name).ok_or_else(|| Refused {
        error: ErrorCode::UnknownTopicOrPartition,
        message: "This server does not host this topic-partition.".to_owned(),
    })
}

fn describe(topic: &Topic, index: i32) -> PartitionResponse {
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition);
    let producers =
        partition.and_then(|partition| partition.log.producers().map_err(|error| append_error_code(&error)));
    let response = PartitionResponse::default().with_partition_index(index).with_error_message(None);
    match producers {
        Ok(producers) => response.with_active_producers(producers.into_iter().map(state_of).collect()),
        Err(error) => response.with_error_code(error.code()),
    }
}

fn state_of(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(i32::from(producer.producer_epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.current_txn_first_offset.unwrap_or(NONE))
}
