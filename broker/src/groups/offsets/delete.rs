//! Offsets that somebody wants gone: OffsetDelete, and what a deleted topic or group leaves behind.

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{GroupId, TopicName};

use crate::groups::record::CoordinatorRecord;
use crate::groups::state::{Group, Groups};

impl Groups {
    /// Whether the group lets its offsets be deleted at all (KIP-496).
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND; NON_EMPTY_GROUP for members whose subscriptions the coordinator cannot know.
    pub(crate) fn check_offset_delete(&self, group_id: &GroupId) -> Result<(), ErrorCode> {
        let group = self.membership(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.is_empty() || group.uses_consumer_protocol() {
            Ok(())
        } else {
            Err(ErrorCode::NonEmptyGroup)
        }
    }

    /// The record that deletes the offset of one partition, committed or pending, or `None` where there is none.
    ///
    /// # Errors
    /// GROUP_SUBSCRIBED_TO_TOPIC: a member reads the topic and would commit again.
    pub(crate) fn delete_offset(
        &self,
        group_id: &GroupId,
        topic: &TopicName,
        partition: i32,
    ) -> Result<Option<CoordinatorRecord>, ErrorCode> {
        if self.membership(group_id).is_some_and(|group| group.is_subscribed_to(topic)) {
            return Err(ErrorCode::GroupSubscribedToTopic);
        }
        let has_offset = self.group(group_id).is_some_and(|group| {
            group.offsets.contains(topic, partition) || group.pending.contains(topic, partition)
        });
        Ok(has_offset.then(|| CoordinatorRecord::offset_tombstone(group_id, topic, partition)))
    }

    /// The records that delete every group's offsets of a topic that is gone.
    pub(crate) fn delete_topic_offsets(&self, topic: &TopicName) -> Vec<CoordinatorRecord> {
        let of_group = |(group_id, group): (&GroupId, &Group)| {
            let pending = group.pending.iter().filter(|(pending, _)| *pending == topic);
            let partitions = group.offsets.partitions(topic).chain(pending.map(|(_, partition)| partition));
            let tombstone = |partition| CoordinatorRecord::offset_tombstone(group_id, topic, partition);
            partitions.collect::<BTreeSet<_>>().into_iter().map(tombstone).collect::<Vec<_>>()
        };
        self.iter().flat_map(of_group).collect()
    }

    /// The records that delete a group and its offsets (DeleteGroups).
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
    pub(crate) fn delete_group(&self, group_id: &GroupId) -> Result<Vec<CoordinatorRecord>, ErrorCode> {
        let group = self.group(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.membership.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let committed = group.offsets.iter().map(|(topic, partition, _)| (topic, partition));
        let offsets: BTreeSet<_> = committed.chain(group.pending.iter()).collect();
        let tombstone = |(topic, partition)| CoordinatorRecord::offset_tombstone(group_id, topic, partition);
        let mut records: Vec<CoordinatorRecord> = offsets.into_iter().map(tombstone).collect();
        records.push(CoordinatorRecord::group_tombstone(group_id));
        Ok(records)
    }
}
