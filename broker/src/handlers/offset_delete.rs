//! OffsetDelete v0 (KIP-496).
//!
//! Refused with GROUP_SUBSCRIBED_TO_TOPIC for topics that a member reads, and with NON_EMPTY_GROUP for groups that are
//! not of consumers.

use std::sync::Arc;

use ottla_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for OffsetDeleteRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 0 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> OffsetDeleteResponse {
        let asked: Vec<(TopicName, i32)> = self.topics.iter().flat_map(partitions).collect();
        match broker.groups.delete_offsets(&self.group_id, &asked) {
            Ok(outcomes) => {
                let mut outcomes = asked.iter().zip(outcomes).map(|((topic, partition), outcome)| {
                    if broker.topics.has_partition(topic, *partition) {
                        outcome
                    } else {
                        Err(ErrorCode::UnknownTopicOrPartition)
                    }
                });
                let topics = self.topics.iter().map(|topic| respond(topic, &mut outcomes));
                OffsetDeleteResponse::default().with_topics(topics.collect())
            }
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        }
    }
}

fn partitions(topic: &OffsetDeleteRequestTopic) -> impl Iterator<Item = (TopicName, i32)> {
    topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index))
}

/// Takes as many of the `outcomes` as the topic has partitions.
fn respond(
    topic: &OffsetDeleteRequestTopic,
    outcomes: &mut impl Iterator<Item = Result<(), ErrorCode>>,
) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().zip(outcomes).map(|(partition, outcome)| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(outcome.err().map_or(0, |error| error.code()))
    });
    OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
}
