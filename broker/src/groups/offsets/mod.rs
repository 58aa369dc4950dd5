//! Committed offsets: what a group has read, by topic and partition.
//!
//! One file per request: `commit`, `commit_in_transaction`, `fetch`, `delete`; `retention` is what time does. They only decide which records
//! are to be written. What is in the log is then applied, by the same code that replays the log at start.

mod commit;
mod commit_in_transaction;
mod delete;
mod fetch;
mod pending;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use pending::PendingOffsets;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;

/// An offset as a client committed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    /// -1 if the client did not say.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: StrBytes,
    pub(crate) commit_timestamp_ms: i64,
    /// Set by clients that still ask for a retention of their own (OffsetCommit v2–4).
    pub(crate) expire_timestamp_ms: Option<i64>,
}

/// An offset whose record is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedOffset {
    pub(crate) committed: CommittedOffset,
    /// Where its record is: of two commits the later one in the log counts, whenever its transaction ends.
    pub(crate) log_offset: i64,
}

/// The committed offsets of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommittedOffsets {
    by_topic: BTreeMap<TopicName, BTreeMap<i32, LoggedOffset>>,
}

impl CommittedOffsets {
    pub(crate) fn get(&self, topic: &TopicName, partition: i32) -> Option<&CommittedOffset> {
        self.by_topic.get(topic)?.get(&partition).map(|offset| &offset.committed)
    }

    pub(crate) fn put(&mut self, topic: TopicName, partition: i32, offset: LoggedOffset) {
        self.by_topic.entry(topic).or_default().insert(partition, offset);
    }

    /// Takes over those of `others` whose records are later.
    pub(crate) fn take_later(&mut self, others: CommittedOffsets) {
        for (topic, partitions) in others.by_topic {
            let own = self.by_topic.entry(topic).or_default();
            for (partition, offset) in partitions {
                if own.get(&partition).is_none_or(|known| known.log_offset < offset.log_offset) {
                    own.insert(partition, offset);
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, topic: &TopicName, partition: i32) {
        let Some(partitions) = self.by_topic.get_mut(topic) else { return };
        partitions.remove(&partition);
        if partitions.is_empty() {
            self.by_topic.remove(topic);
        }
    }

    pub(crate) fn contains(&self, topic: &TopicName, partition: i32) -> bool {
        self.get(topic, partition).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicName, i32, &CommittedOffset)> {
        self.by_topic.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, offset)| (topic, *partition, &offset.committed))
        })
    }

    /// The partitions of `topic` that have an offset.
    pub(crate) fn partitions(&self, topic: &TopicName) -> impl Iterator<Item = i32> {
        self.by_topic.get(topic).into_iter().flat_map(|partitions| partitions.keys().copied())
    }
}
