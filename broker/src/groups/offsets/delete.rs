//! Offsets that somebody wants gone: OffsetDelete, and what a deleted topic or group leaves behind.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{GroupId, TopicName};

use crate::groups::record::CoordinatorRecord;
use crate::groups::state::Groups;

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

    /// The record that deletes the offset of one partition, or `None` where there is no offset.
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
        let committed = self.offsets(group_id).and_then(|offsets| offsets.get(topic, partition));
        Ok(committed.map(|_| CoordinatorRecord::offset_tombstone(group_id, topic, partition)))
    }

    /// The records that delete every group's offsets of a topic that is gone.
    pub(crate) fn delete_topic_offsets(&self, topic: &TopicName) -> Vec<CoordinatorRecord> {
        let of_group = |(group_id, group): (&GroupId, &crate::groups::state::Group)| {
            let tombstone = |partition| CoordinatorRecord::offset_tombstone(group_id, topic, partition);
            group.offsets.partitions(topic).map(tombstone).collect::<Vec<_>>()
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
        let tombstone = |(topic, partition, _): (&TopicName, i32, &_)| {
            CoordinatorRecord::offset_tombstone(group_id, topic, partition)
        };
        let mut records: Vec<CoordinatorRecord> = group.offsets.iter().map(tombstone).collect();
        records.push(CoordinatorRecord::group_tombstone(group_id));
        Ok(records)
    }
}
