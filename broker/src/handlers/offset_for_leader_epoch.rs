//! OffsetForLeaderEpoch v2–4 (KIP-320).
//!
//! Where a leader epoch ended in a partition's log, so that a consumer can tell whether what it has read is still
//! there. An epoch that the log has not come to is answered −1.

use std::sync::Arc;

use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use ottla_protocol::{ErrorCode, VersionRange};
use ottla_storage::EpochEnd;

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::{Partition, read_error_code};
use crate::state::BrokerState;
use crate::topics::Topic;

impl Handler for OffsetForLeaderEpochRequest {
    const SERVED: VersionRange = VersionRange { min: 2, max: 4 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> OffsetForLeaderEpochResponse {
        let topics = self
            .topics
            .into_iter()
            .map(|asked| answer(broker.topics.by_name(&asked.topic).as_deref(), asked));
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }
}

fn answer(topic: Option<&Topic>, asked: OffsetForLeaderTopic) -> OffsetForLeaderTopicResult {
    let partitions = asked.partitions.iter().map(|asked| {
        let partition = topic.and_then(|topic| topic.partition(asked.partition));
        let found = partition.ok_or(ErrorCode::UnknownTopicOrPartition);
        let response = EpochEndOffset::default().with_partition(asked.partition);
        match found.and_then(|partition| find(partition, asked)) {
            Ok(Some(end)) => response.with_leader_epoch(end.leader_epoch).with_end_offset(end.end_offset),
            Ok(None) => response.with_leader_epoch(-1).with_end_offset(-1),
            Err(error) => response.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
        }
    });
    OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(asked.topic)
}

fn find(partition: &Partition, asked: &OffsetForLeaderPartition) -> Result<Option<EpochEnd>, ErrorCode> {
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    partition.log.end_of_leader_epoch(asked.leader_epoch).map_err(|error| read_error_code(&error))
}
