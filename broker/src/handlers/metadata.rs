//! Metadata v0–13.
//!
//! One broker, which leads every partition and is the controller. A topic that is asked for by name and does not
//! exist is created, if the request and `auto.create.topics.enable` allow it, and is then described in the same
//! answer: no LEADER_NOT_AVAILABLE. What is asked for twice is answered once. v4: `allow_auto_topic_creation`. v12:
//! topics by id (KIP-516). v13: an error code for the whole answer (KIP-1102), which is never set.
//!
//! Not done: authorised operations (KIP-430) are never listed, because nothing is forbidden.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use ottla_protocol::{ErrorCode, VersionRange};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::keep_firsts;
use crate::state::BrokerState;
use crate::topic_name::{is_internal, validate};
use crate::topics::{CreateTopicError, NewTopic, Topic};

impl Handler for MetadataRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 13 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> MetadataResponse {
        let settings = &broker.config.settings;
        // Before v4 a request could not say; Kafka takes it for a yes.
        let may_create =
            (context.api_version < 4 || self.allow_auto_topic_creation) && settings.auto_create_topics_enable;
        let node_id = BrokerId(settings.node_id);
        let topics = match self.topics {
            Some(mut topics) if context.api_version > 0 || !topics.is_empty() => {
                keep_firsts(&mut topics, |topic| (topic.name.clone(), topic.topic_id));
                let refused = if may_create { create_missing(&broker, &topics) } else { HashMap::new() };
                topics.into_iter().map(|topic| answer(&broker, topic, &refused)).collect()
            }
            _ => broker.topics.all().iter().map(|topic| describe(topic, node_id)).collect(),
        };
        let endpoint = &context.advertised;
        let this_broker = MetadataResponseBroker::default()
            .with_node_id(node_id)
            .with_host(endpoint.host.clone())
            .with_port(i32::from(endpoint.port));
        MetadataResponse::default()
            .with_brokers(vec![this_broker])
            .with_cluster_id(Some(broker.cluster_id.clone()))
            .with_controller_id(node_id)
            .with_topics(topics)
    }
}

/// Creates what is asked for by name and does not exist; answers why what could not be created was not.
fn create_missing(broker: &BrokerState, asked: &[MetadataRequestTopic]) -> HashMap<TopicName, ErrorCode> {
    let mut missing: Vec<_> = asked.iter().filter_map(|topic| topic.name.clone()).collect();
    // The broker's own topics come into being when they are first needed, with settings of their own.
    let can_be = |name: &TopicName| validate(name).is_ok() && !is_internal(name);
    missing.retain(|name| broker.topics.by_name(name).is_none() && can_be(name));
    if missing.is_empty() {
        return HashMap::new();
    }
    if let Err(error) = broker.topics.check_partition_total(missing.iter().map(|_| None)) {
        return missing.into_iter().map(|name| (name, error.code())).collect();
    }
    let plans = missing.iter().map(|name| broker.topics.plan(NewTopic::with_defaults(name)));
    let created = broker.topics.carry_out(plans.collect());
    let refused = missing.into_iter().zip(created).filter_map(|(name, created)| match created {
        // Another connection may have been faster.
        Ok(_) | Err(CreateTopicError::Exists { .. }) => None,
        Err(error) => {
            tracing::warn!("cannot create topic {}: {error}", &*name);
            Some((name, error.code()))
        }
    });
    refused.collect()
}

fn answer(
    broker: &BrokerState,
    asked: MetadataRequestTopic,
    refused: &HashMap<TopicName, ErrorCode>,
) -> MetadataResponseTopic {
    let found = match &asked.name {
        Some(name) => broker.topics.by_name(name).ok_or_else(|| match refused.get(name) {
            Some(error) => *error,
            None if validate(name).is_err() => ErrorCode::InvalidTopicException,
            None => ErrorCode::UnknownTopicOrPartition,
        }),
        None => broker.topics.by_id(asked.topic_id).ok_or(ErrorCode::UnknownTopicId),
    };
    match found {
        Ok(topic) => describe(&topic, BrokerId(broker.config.settings.node_id)),
        Err(error) => unknown(asked.name, asked.topic_id, error),
    }
}

fn unknown(name: Option<TopicName>, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_name(name).with_topic_id(topic_id).with_error_code(error.code())
}

fn describe(topic: &Topic, node_id: BrokerId) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| {
        MetadataResponsePartition::default()
            .with_partition_index(partition.index)
            .with_leader_id(node_id)
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(vec![node_id])
            .with_isr_nodes(vec![node_id])
    });
    MetadataResponseTopic::default()
        .with_name(Some(topic.name.clone()))
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(partitions.collect())
}
