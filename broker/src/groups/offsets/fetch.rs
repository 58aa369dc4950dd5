//! OffsetFetch: where a group goes on reading.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::GroupId;
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::{CommittedOffset, CommittedOffsets};
use crate::groups::state::Groups;

/// What a partition without a committed offset is answered with.
const NO_OFFSET: i64 = -1;

impl Groups {
    /// The offsets of the partitions asked for, or of all partitions that have one (`topics` is `None`). A group that
    /// does not exist has no offsets, which is not an error.
    pub(crate) fn fetch_offsets(
        &self,
        group_id: &GroupId,
        topics: Option<&[OffsetFetchRequestTopics]>,
    ) -> Vec<OffsetFetchResponseTopics> {
        let none = CommittedOffsets::default();
        let offsets = self.offsets(group_id).unwrap_or(&none);
        match topics {
            Some(topics) => topics.iter().map(|topic| of_topic(offsets, topic)).collect(),
            None => all(offsets),
        }
    }
}

fn of_topic(offsets: &CommittedOffsets, asked: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = asked
        .partition_indexes
        .iter()
        .map(|partition| answer(*partition, offsets.get(&asked.name, *partition)))
        .collect();
    OffsetFetchResponseTopics::default().with_name(asked.name.clone()).with_partitions(partitions)
}

fn all(offsets: &CommittedOffsets) -> Vec<OffsetFetchResponseTopics> {
    let of_topic = |(topic, partitions): (&_, &std::collections::BTreeMap<i32, CommittedOffset>)| {
        let partitions =
            partitions.iter().map(|(partition, offset)| answer(*partition, Some(offset))).collect();
        OffsetFetchResponseTopics::default().with_name(Clone::clone(topic)).with_partitions(partitions)
    };
    offsets.by_topic.iter().map(of_topic).collect()
}

fn answer(partition: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions {
    let answer = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    match committed {
        Some(committed) => answer
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(committed.metadata.clone())),
        None => answer
            .with_committed_offset(NO_OFFSET)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default())),
    }
}
