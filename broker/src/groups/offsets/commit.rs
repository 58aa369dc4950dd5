//! OffsetCommit: a member, or a consumer that assigns itself, says how far it has read.

use ottla_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};

use super::CommittedOffset;
use crate::detach;
use crate::groups::record::CoordinatorRecord;
use crate::groups::state::Groups;
use crate::groups::turn::Now;

/// `retention_time_ms` of a client that leaves the retention to the broker.
const DEFAULT_RETENTION_TIME_MS: i64 = -1;

impl Groups {
    /// Decides on a commit of offsets, in partitions that `exists` knows. The records take effect when they are applied.
    ///
    /// # Errors
    /// When the whole commit is refused: GROUP_ID_NOT_FOUND, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID,
    /// REBALANCE_IN_PROGRESS.
    pub(crate) fn commit_offsets(
        &mut self,
        request: &OffsetCommitRequest,
        exists: impl Fn(&TopicName, i32) -> bool,
        now: Now,
    ) -> Result<(OffsetCommitResponse, Vec<CoordinatorRecord>), ErrorCode> {
        self.check_commit(request, now)?;
        let group_id = GroupId(detach::text(&request.group_id));
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let name = TopicName(detach::text(&topic.name));
            let partitions = topic.partitions.iter().map(|partition| {
                let (index, metadata) = (partition.partition_index, partition.committed_metadata.as_ref());
                let refused = self.check_partition(&name, index, metadata, &exists).err();
                if refused.is_none() {
                    let offset = committed(partition, request.retention_time_ms, now);
                    records.push(CoordinatorRecord::offset(&group_id, &name, index, offset));
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(refused.map_or(0, |error| error.code()))
            });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        let response = OffsetCommitResponse::default().with_topics(topics.collect());
        Ok((response, records))
    }

    /// A group that does not exist is made by the commit, if the client claims no membership.
    fn check_commit(&mut self, request: &OffsetCommitRequest, now: Now) -> Result<(), ErrorCode> {
        let generation_id = request.generation_id_or_member_epoch;
        let Some(group) = self.membership_mut(&request.group_id) else {
            return if generation_id < 0 { Ok(()) } else { Err(ErrorCode::GroupIdNotFound) };
        };
        let instance_id = request.group_instance_id.as_ref();
        group.check_offset_commit(&request.member_id, instance_id, generation_id)?;
        group.note_offset_commit(&request.member_id, now);
        self.index_deadline(&request.group_id);
        Ok(())
    }

    pub(super) fn check_partition(
        &self,
        topic: &TopicName,
        partition: i32,
        metadata: Option<&StrBytes>,
        exists: impl Fn(&TopicName, i32) -> bool,
    ) -> Result<(), ErrorCode> {
        if !exists(topic, partition) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        // As long as Java says that the text is.
        let length = metadata.map_or(0, |metadata| metadata.encode_utf16().count());
        if length > self.config().offset_metadata_max_chars {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        Ok(())
    }
}

fn committed(partition: &OffsetCommitRequestPartition, retention_time_ms: i64, now: Now) -> CommittedOffset {
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(detach::text).unwrap_or_default(),
        commit_timestamp_ms: now.wall_ms,
        expire_timestamp_ms: match retention_time_ms {
            DEFAULT_RETENTION_TIME_MS => None,
            retention_time_ms => Some(now.wall_ms.saturating_add(retention_time_ms)),
        },
    }
}
