//! CreateTopics v2–7.
//!
//! A created topic is in every answer that follows this one: there is no other broker to learn of it. Each topic
//! succeeds or fails on its own, but for the one write of the metadata that makes them all known, and Kafka's limit to
//! the partitions of a request. `validate_only` checks without creating. v4: −1 partitions or replicas are the
//! broker's defaults (KIP-464). v5: the topic's settings are answered, each with its source (KIP-525); without them
//! Kafka's own `kafka-topics --create` fails. v7: the topic's id (KIP-516).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::config::{TopicSettings, entries};
use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::repeated;
use crate::state::BrokerState;
use crate::topics::{CreateTopicError, NewTopic, PlannedTopic, Topic};

impl Handler for CreateTopicsRequest {
    const SERVED: VersionRange = VersionRange { min: 2, max: 7 };

    async fn handle(mut self, broker: Arc<BrokerState>, _: RequestContext) -> CreateTopicsResponse {
        let repeated = repeated(self.topics.iter().map(|topic| topic.name.clone()));
        self.topics.retain(|topic| !repeated.contains(&topic.name));
        let mut topics = create(&broker, self.topics, self.validate_only);
        let duplicates = repeated.into_iter();
        topics.extend(
            duplicates
                .map(|name| refused(name, ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
        );
        CreateTopicsResponse::default().with_topics(topics)
    }
}

/// What becomes of each topic, in the order in which they are asked for.
fn create(
    broker: &BrokerState,
    asked: Vec<CreatableTopic>,
    validate_only: bool,
) -> Vec<CreatableTopicResult> {
    if let Err(error) = broker.topics.check_partition_total(asked.iter().map(partition_count)) {
        return asked.into_iter().map(|topic| refuse(topic.name, &error)).collect();
    }
    let names: Vec<_> = asked.iter().map(|topic| topic.name.clone()).collect();
    let node_id = BrokerId(broker.config.settings.node_id);
    let plans = asked.into_iter().map(|topic| broker.topics.plan(new_topic(topic, node_id)?));
    let outcomes: Vec<_> = if validate_only {
        plans.map(|plan| plan.map(|plan| describe_plan(broker, &plan))).collect()
    } else {
        let created = broker.topics.carry_out(plans.collect());
        created.into_iter().map(|topic| topic.map(|topic| describe(broker, &topic))).collect()
    };
    let results = names.into_iter().zip(outcomes);
    results.map(|(name, outcome)| outcome.unwrap_or_else(|error| refuse(name, &error))).collect()
}

/// As Kafka counts before it looks further. `None` asks for the broker's default.
fn partition_count(asked: &CreatableTopic) -> Option<i32> {
    match asked.assignments.len() {
        0 => (asked.num_partitions != -1).then_some(asked.num_partitions),
        assigned => Some(assigned as i32),
    }
}

fn describe(broker: &BrokerState, topic: &Topic) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_topic_id(topic.id)
        .with_num_partitions(topic.partitions.len() as i32)
        .with_replication_factor(1)
        .with_configs(Some(configs(broker, &topic.settings, &topic.overrides)))
}

fn describe_plan(broker: &BrokerState, plan: &PlannedTopic) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(TopicName(StrBytes::from_string(plan.name.clone())))
        .with_num_partitions(plan.partitions)
        .with_replication_factor(1)
        .with_configs(Some(configs(broker, &plan.settings, &plan.overrides)))
}

fn configs(
    broker: &BrokerState,
    settings: &TopicSettings,
    overrides: &BTreeMap<String, String>,
) -> Vec<CreatableTopicConfigs> {
    let entries = entries::of_topic(&broker.config, settings, overrides).into_iter().map(|entry| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(entry.name))
            .with_value(entry.value.map(StrBytes::from_string))
            .with_config_source(entry.source as i8)
    });
    entries.collect()
}

fn refuse(name: TopicName, error: &CreateTopicError) -> CreatableTopicResult {
    refused(name, error.code(), error.to_string())
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
