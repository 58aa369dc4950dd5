//! CreateTopics v2–7.
//!
//! A created topic is in every answer that follows this one: there is no other broker to learn of it. Each topic
//! succeeds or fails on its own. `validate_only` checks without creating. v4: −1 partitions or replicas are the
//! broker's defaults (KIP-464). v5: the topic's settings are answered, each with its source (KIP-525); without them
//! Kafka's own `kafka-topics --create` fails. v7: the topic's id (KIP-516).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use uuid::Uuid;

use crate::config::entries;
use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::topics::{CreateTopicError, NewTopic, PlannedTopic};

impl Handler for CreateTopicsRequest {
    const SERVED: VersionRange = VersionRange { min: 2, max: 7 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> CreateTopicsResponse {
        let mut times_named = HashMap::new();
        for topic in &self.topics {
            *times_named.entry(topic.name.clone()).or_insert(0) += 1;
        }
        let topics = self.topics.into_iter().filter_map(|topic| {
            let name = topic.name.clone();
            // A name that comes several times is answered once.
            match times_named.remove(&name)? {
                1 => Some(
                    create(&broker, topic, self.validate_only)
                        .unwrap_or_else(|error| refused(name, error.code(), error.to_string())),
                ),
                _ => Some(refused(name, ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
            }
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    }
}

fn create(
    broker: &BrokerState,
    asked: CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, CreateTopicError> {
    let name = asked.name.clone();
    let planned = broker.topics.plan(new_topic(asked, BrokerId(broker.config.settings.node_id))?)?;
    let result = describe(broker, &planned).with_name(name);
    let topic_id = if validate_only { Uuid::nil() } else { broker.topics.carry_out(planned)?.id };
    Ok(result.with_topic_id(topic_id))
}

fn describe(broker: &BrokerState, planned: &PlannedTopic) -> CreatableTopicResult {
    let entries = entries::of_topic(&broker.config, &planned.settings, &planned.overrides);
    let configs = entries.into_iter().map(|entry| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(entry.name))
            .with_value(entry.value.map(StrBytes::from_string))
            .with_config_source(entry.source as i8)
    });
    CreatableTopicResult::default()
        .with_num_partitions(planned.partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}

fn refused(name: TopicName, error: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(vec![]))
}

fn new_topic(asked: CreatableTopic, node_id: BrokerId) -> Result<NewTopic, CreateTopicError> {
    let partitions = if asked.assignments.is_empty() {
        check_replication_factor(asked.replication_factor)?;
        asked.num_partitions
    } else {
        assigned_partitions(&asked, node_id)?
    };
    let mut overrides = BTreeMap::new();
    for config in asked.configs {
        let name = config.name.to_string();
        let value = config.value.ok_or_else(|| CreateTopicError::NullConfig { name: name.clone() })?;
        overrides.insert(name, value.to_string());
    }
    Ok(NewTopic {
        name: asked.name.to_string(),
        partitions: (partitions != -1).then_some(partitions),
        overrides,
    })
}

fn check_replication_factor(replication_factor: i16) -> Result<(), CreateTopicError> {
    match replication_factor {
        -1 | 1 => Ok(()),
        ..=0 => Err(CreateTopicError::NonPositiveReplicationFactor),
        _ => Err(CreateTopicError::InvalidReplicationFactor { replication_factor }),
    }
}

/// A manual assignment has to put each partition on this broker, the only one.
fn assigned_partitions(asked: &CreatableTopic, node_id: BrokerId) -> Result<i32, CreateTopicError> {
    if asked.replication_factor != -1 || asked.num_partitions != -1 {
        return Err(CreateTopicError::CountsWithAssignment);
    }
    let is_here = |assignment: &CreatableReplicaAssignment| assignment.broker_ids == [node_id];
    let mut indexes: Vec<i32> =
        asked.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    if !asked.assignments.iter().all(is_here) || !indexes.iter().copied().eq(0..indexes.len() as i32) {
        return Err(CreateTopicError::InvalidAssignment { node_id: node_id.0 });
    }
    Ok(indexes.len() as i32)
}
