//! OffsetCommit v2–9.
//!
//! Answered when the offsets are in `__consumer_offsets`. v2–4: a retention of the client's own. v6: leader epochs
//! (KIP-320). v7: static members (KIP-345). v9: a group that does not exist is GROUP_ID_NOT_FOUND instead of
//! ILLEGAL_GENERATION (KIP-848).
//!
//! Not done: v10, topics by id; the message structs do not have it.

use std::sync::Arc;

use ottla_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for OffsetCommitRequest {
    const SERVED: VersionRange = VersionRange { min: 2, max: 9 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> OffsetCommitResponse {
        let exists = |topic: &TopicName, partition| broker.topics.has_partition(topic, partition);
        match broker.groups.commit_offsets(&self, exists) {
            Ok(response) => response,
            Err(ErrorCode::GroupIdNotFound) if context.api_version < 9 => {
                refusal(&self, ErrorCode::IllegalGeneration)
            }
            Err(error) => refusal(&self, error),
        }
    }
}

/// The same error for every partition.
fn refusal(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let of_topic = |topic: &OffsetCommitRequestTopic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    };
    OffsetCommitResponse::default().with_topics(request.topics.iter().map(of_topic).collect())
}
