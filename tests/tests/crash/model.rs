//! What the broker has promised.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) topics: BTreeMap<String, TopicModel>,
    /// Topics whose creation or deletion was not answered.
    pub(crate) doubtful_topics: BTreeMap<String, DoubtfulTopic>,
    /// By group, topic and partition.
    pub(crate) offsets: BTreeMap<OffsetKey, OffsetModel>,
    pub(crate) producers: Vec<ProducerModel>,
    pub(crate) producer_ids: BTreeSet<i64>,
    /// Makes every value another.
    pub(crate) values: u64,
}

pub(crate) type OffsetKey = (String, String, i32);

#[derive(Clone, Debug)]
pub(crate) struct TopicModel {
    pub(crate) id: Uuid,
    pub(crate) segment_bytes: String,
    pub(crate) partitions: Vec<PartitionModel>,
}

#[derive(Clone, Debug)]
pub(crate) enum DoubtfulTopic {
    Created { partitions: i32, segment_bytes: String },
    Deleted { topic: TopicModel, offsets: BTreeMap<OffsetKey, OffsetModel> },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionModel {
    pub(crate) batches: Vec<BatchModel>,
    /// Sent last, and not answered.
    pub(crate) doubtful: Option<BatchModel>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchModel {
    pub(crate) base_offset: i64,
    pub(crate) values: Vec<String>,
    pub(crate) producer: Option<Sequence>,
}

/// Which producer sent a batch, and where in its sequence it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) producer_id: i64,
    pub(crate) base_sequence: i32,
}

/// A producer that never sends before its last batch is answered.
#[derive(Clone, Debug)]
pub(crate) struct ProducerModel {
    pub(crate) id: i64,
    pub(crate) next_sequences: BTreeMap<(String, i32), i32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetModel {
    pub(crate) committed: Option<i64>,
    pub(crate) doubtful: Option<i64>,
}

impl PartitionModel {
    pub(crate) fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.base_offset + batch.values.len() as i64)
    }

    /// Every record that must be there.
    pub(crate) fn records(&self) -> impl Iterator<Item = (i64, &str)> {
        self.batches
            .iter()
            .flat_map(|batch| (batch.base_offset..).zip(batch.values.iter().map(String::as_str)))
    }
}

impl Model {
    /// Every partition that certainly is there.
    pub(crate) fn partitions(&self) -> Vec<(String, i32)> {
        let of_topic = |(name, topic): (&String, &TopicModel)| {
            (0..topic.partitions.len() as i32).map(|partition| (name.clone(), partition)).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(of_topic).collect()
    }

    pub(crate) fn partition(&mut self, topic: &str, partition: i32) -> &mut PartitionModel {
        let topic = self.topics.get_mut(topic).expect("a topic of the model");
        &mut topic.partitions[partition as usize]
    }

    /// What goes with a topic; the offsets are returned.
    pub(crate) fn forget_topic(&mut self, topic: &str) -> BTreeMap<OffsetKey, OffsetModel> {
        let (gone, kept) = std::mem::take(&mut self.offsets)
            .into_iter()
            .partition(|((_, of_topic, _), _)| of_topic == topic);
        self.offsets = kept;
        for producer in &mut self.producers {
            producer.next_sequences.retain(|(of_topic, _), _| of_topic != topic);
        }
        gone
    }
}
