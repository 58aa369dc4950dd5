//! The partitions of a transaction.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::messages::TopicName;

/// Partitions by topic; no topic is without partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartitionSet {
    by_topic: BTreeMap<TopicName, BTreeSet<i32>>,
}

impl PartitionSet {
    /// `topic` is kept: it must not borrow a connection's buffer.
    pub(crate) fn insert(&mut self, topic: TopicName, partition: i32) {
        self.by_topic.entry(topic).or_default().insert(partition);
    }

    pub(crate) fn contains(&self, topic: &TopicName, partition: i32) -> bool {
        self.by_topic.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    pub(crate) fn contains_all(&self, others: &PartitionSet) -> bool {
        others.iter().all(|(topic, partition)| self.contains(topic, partition))
    }

    pub(crate) fn extend(&mut self, others: PartitionSet) {
        for (topic, partitions) in others.by_topic {
            self.by_topic.entry(topic).or_default().extend(partitions);
        }
    }

    /// Those that are not among `others`.
    pub(crate) fn without(&self, others: &PartitionSet) -> PartitionSet {
        let missing = self.iter().filter(|(topic, partition)| !others.contains(topic, *partition));
        missing.map(|(topic, partition)| (topic.clone(), partition)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TopicName, i32)> {
        self.topics().flat_map(|(topic, partitions)| partitions.iter().map(move |index| (topic, *index)))
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (&TopicName, &BTreeSet<i32>)> {
        self.by_topic.iter()
    }
}

impl FromIterator<(TopicName, i32)> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = (TopicName, i32)>>(partitions: I) -> PartitionSet {
        let mut set = PartitionSet::default();
        partitions.into_iter().for_each(|(topic, partition)| set.insert(topic, partition));
        set
    }
}
