//! TxnOffsetCommit: a producer commits the offsets of what its transaction has consumed.

use ottla_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::messages::{GroupId, TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::CommittedOffset;
use crate::detach;
use crate::groups::record::CoordinatorRecord;
use crate::groups::state::Groups;
use crate::groups::turn::Now;

impl Groups {
    /// Decides on a commit in partitions that `exists` knows. The records belong to the producer's transaction.
    ///
    /// # Errors
    /// When the whole commit is refused: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID (KIP-447).
    pub(crate) fn commit_offsets_in_transaction(
        &self,
        request: &TxnOffsetCommitRequest,
        exists: impl Fn(&TopicName, i32) -> bool,
        now: Now,
    ) -> Result<(TxnOffsetCommitResponse, Vec<CoordinatorRecord>), ErrorCode> {
        self.check_commit_in_transaction(request)?;
        let group_id = GroupId(detach::text(&request.group_id));
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let name = TopicName(detach::text(&topic.name));
            let partitions = topic.partitions.iter().map(|partition| {
                let (index, metadata) = (partition.partition_index, partition.committed_metadata.as_ref());
                let refused = self.check_partition(&name, index, metadata, &exists).err();
                if refused.is_none() {
                    let offset = committed(partition, now);
                    records.push(CoordinatorRecord::offset(&group_id, &name, index, offset));
                }
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(refused.map_or(0, |error| error.code()))
            });
            let partitions = partitions.collect();
            TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        let response = TxnOffsetCommitResponse::default().with_topics(topics.collect());
        Ok((response, records))
    }

    /// A group that does not exist is made by the commit, if the client claims no membership.
    fn check_commit_in_transaction(&self, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        match self.membership(&request.group_id) {
            Some(group) => {
                let instance_id = request.group_instance_id.as_ref();
                group.check_offset_commit_in_transaction(
                    &request.member_id,
                    instance_id,
                    request.generation_id,
                )
            }
            None if request.generation_id < 0 => Ok(()),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }
}

fn committed(partition: &TxnOffsetCommitRequestPartition, now: Now) -> CommittedOffset {
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map_or_else(StrBytes::default, detach::text),
        commit_timestamp_ms: now.wall_ms,
        expire_timestamp_ms: None,
    }
}
