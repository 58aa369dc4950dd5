//! Offsets of open transactions: in the log, and not committed before the marker comes (KIP-98).

use std::collections::BTreeMap;

use ottla_protocol::messages::TopicName;

use super::{CommittedOffsets, LoggedOffset};

/// The pending offsets of one group, by the producer whose transaction they are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PendingOffsets {
    by_producer: BTreeMap<i64, CommittedOffsets>,
}

impl PendingOffsets {
    pub(crate) fn put(&mut self, producer_id: i64, topic: TopicName, partition: i32, offset: LoggedOffset) {
        self.by_producer.entry(producer_id).or_default().put(topic, partition, offset);
    }

    /// The offsets of a transaction that ends.
    pub(crate) fn take(&mut self, producer_id: i64) -> CommittedOffsets {
        self.by_producer.remove(&producer_id).unwrap_or_default()
    }

    /// Takes a partition out of every transaction.
    pub(crate) fn remove(&mut self, topic: &TopicName, partition: i32) {
        self.by_producer.retain(|_, offsets| {
            offsets.remove(topic, partition);
            !offsets.is_empty()
        });
    }

    pub(crate) fn contains(&self, topic: &TopicName, partition: i32) -> bool {
        self.by_producer.values().any(|offsets| offsets.contains(topic, partition))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    /// A partition comes as often as transactions have an offset of it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicName, i32)> {
        let offsets = self.by_producer.values().flat_map(CommittedOffsets::iter);
        offsets.map(|(topic, partition, _)| (topic, partition))
    }
}
