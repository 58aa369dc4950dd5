//! OffsetFetch: where a group goes on reading.

use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{GroupId, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};

use super::{CommittedOffsets, PendingOffsets};
use crate::groups::state::Groups;

/// What a partition without a committed offset is answered with.
const NO_OFFSET: i64 = -1;

impl Groups {
    /// The offsets of the partitions asked for, or of all partitions that have one (`topics` is `None`). A group that
    /// does not exist has no offsets, which is not an error. With `require_stable`, a partition whose offset an open
    /// transaction may change is answered UNSTABLE_OFFSET_COMMIT (KIP-447).
    pub(crate) fn fetch_offsets(
        &self,
        group_id: &GroupId,
        topics: Option<&[OffsetFetchRequestTopics]>,
        require_stable: bool,
    ) -> Vec<OffsetFetchResponseTopics> {
        let (no_offsets, none_pending) = (CommittedOffsets::default(), PendingOffsets::default());
        let group = self.group(group_id);
        let fetch = Fetch {
            offsets: group.map_or(&no_offsets, |group| &group.offsets),
            pending: group.filter(|_| require_stable).map_or(&none_pending, |group| &group.pending),
        };
        match topics {
            Some(topics) => topics.iter().map(|topic| fetch.of_topic(topic)).collect(),
            None => fetch.all(),
        }
    }
}

struct Fetch<'a> {
    offsets: &'a CommittedOffsets,
    /// What makes an offset unstable.
    pending: &'a PendingOffsets,
}

impl Fetch<'_> {
    fn of_topic(&self, asked: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
        let partitions = asked.partition_indexes.iter();
        self.answer_topic(&asked.name, partitions.copied())
    }

    fn all(&self) -> Vec<OffsetFetchResponseTopics> {
        let topics = self.offsets.by_topic.iter();
        topics.map(|(topic, partitions)| self.answer_topic(topic, partitions.keys().copied())).collect()
    }

    fn answer_topic(
        &self,
        topic: &TopicName,
        partitions: impl Iterator<Item = i32>,
    ) -> OffsetFetchResponseTopics {
        let partitions = partitions.map(|partition| self.answer(topic, partition)).collect();
        OffsetFetchResponseTopics::default().with_name(topic.clone()).with_partitions(partitions)
    }

    fn answer(&self, topic: &TopicName, partition: i32) -> OffsetFetchResponsePartitions {
        let answer = OffsetFetchResponsePartitions::default().with_partition_index(partition);
        let is_unstable = self.pending.contains(topic, partition);
        match self.offsets.get(topic, partition).filter(|_| !is_unstable) {
            Some(committed) => answer
                .with_committed_offset(committed.offset)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_metadata(Some(committed.metadata.clone())),
            None => answer
                .with_error_code(if is_unstable { ErrorCode::UnstableOffsetCommit.code() } else { 0 })
                .with_committed_offset(NO_OFFSET)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(StrBytes::default())),
        }
    }
}
