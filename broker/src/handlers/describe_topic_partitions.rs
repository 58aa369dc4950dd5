//! DescribeTopicPartitions v0 (KIP-966).
//!
//! Topics in the order of their names, a page at a time: a page ends after `response_partition_limit` partitions, and
//! the next one begins at the cursor. No topic named: every topic.
//!
//! Not done: eligible leader replicas, which one broker does not have.

use std::sync::Arc;

use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::Partition;
use crate::state::BrokerState;
use crate::topic_name::{is_internal, validate};
use crate::topics::Topic;

/// `max.request.partition.size.limit`: the most partitions in an answer.
const MAX_PARTITIONS: usize = 2000;

impl Handler for DescribeTopicPartitionsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 0 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DescribeTopicPartitionsResponse {
        let mut names: Vec<String> = self.topics.iter().map(|topic| topic.name.to_string()).collect();
        if names.is_empty() {
            names = broker.topics.all().iter().map(|topic| topic.name.to_string()).collect();
        }
        names.sort();
        names.dedup();
        let (first_topic, first_partition) = match &self.cursor {
            Some(cursor) => {
                (cursor.topic_name.as_str(), usize::try_from(cursor.partition_index).unwrap_or(0))
            }
            None => ("", 0),
        };
        let limit = usize::try_from(self.response_partition_limit).unwrap_or(0).clamp(1, MAX_PARTITIONS);
        let mut page = Page { left: limit, topics: Vec::new(), next: None };
        for name in names.iter().skip_while(|name| name.as_str() < first_topic) {
            let from = if name == first_topic { first_partition } else { 0 };
            if page.next.is_some() {
                break;
            }
            page.add(&broker, name, from);
        }
        DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next)
    }
}

/// An answer that is being filled.
struct Page {
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page {
    fn add(&mut self, broker: &BrokerState, name: &str, from: usize) {
        let Some(topic) = broker.topics.by_name(name) else {
            self.topics.push(unknown(name));
            return;
        };
        if self.left == 0 {
            self.next = Some(cursor(&topic, from));
            return;
        }
        let rest = topic.partitions.get(from..).unwrap_or_default();
        let taken = rest.len().min(self.left);
        let node_id = BrokerId(broker.config.settings.node_id);
        let partitions = rest[..taken].iter().map(|partition| describe(partition, node_id)).collect();
        self.left -= taken;
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic.name.clone()))
                .with_topic_id(topic.id)
                .with_is_internal(is_internal(name))
                .with_partitions(partitions),
        );
        if taken < rest.len() {
            self.next = Some(cursor(&topic, from + taken));
        }
    }
}

fn cursor(topic: &Topic, partition: usize) -> Cursor {
    let index = i32::try_from(partition).unwrap_or(i32::MAX);
    Cursor::default().with_topic_name(topic.name.clone()).with_partition_index(index)
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let valid = validate(name).is_ok();
    let error = if valid { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_error_code(error.code())
}

fn describe(partition: &Partition, node_id: BrokerId) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(partition.index)
        .with_leader_id(node_id)
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(vec![node_id])
        .with_isr_nodes(vec![node_id])
        .with_eligible_leader_replicas(Some(vec![]))
        .with_last_known_elr(Some(vec![]))
}
