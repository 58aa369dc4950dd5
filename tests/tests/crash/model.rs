//! What the broker has promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use crate::life::Ending;
use crate::offsets_log::OffsetsLog;

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) topics: BTreeMap<String, TopicModel>,
    /// Topics whose creation or deletion was not answered.
    pub(crate) doubtful_topics: BTreeMap<String, DoubtfulTopic>,
    /// By group, topic and partition.
    pub(crate) offsets: BTreeMap<OffsetKey, OffsetModel>,
    pub(crate) offsets_log: OffsetsLog,
    /// The ids of idempotent producers, none of which sends before its last batch is answered.
    pub(crate) producers: Vec<i64>,
    /// One for each transactional id.
    pub(crate) transactional: Vec<TransactionalModel>,
    /// By the number that their batches have.
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) producer_ids: BTreeSet<i64>,
    /// Makes every value another.
    pub(crate) values: u64,
    /// Batches that were acknowledged, but not on the disk.
    pub(crate) lost_batches: u64,
}

pub(crate) type OffsetKey = (String, String, i32);

#[derive(Clone, Debug)]
pub(crate) struct TopicModel {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) segment_bytes: String,
    pub(crate) partitions: Vec<PartitionModel>,
}

/// What becomes of a topic's old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They stay.
    Kept,
    /// The last ones stay (`retention.bytes`).
    Retained,
    /// The last one of each key stays (`cleanup.policy=compact`).
    Compacted,
}

pub(crate) const RETENTION_BYTES: usize = 4_000;

#[derive(Clone, Debug)]
pub(crate) enum DoubtfulTopic {
    Created { partitions: i32, kind: Kind, segment_bytes: String },
    Deleted { topic: TopicModel, offsets: BTreeMap<OffsetKey, OffsetModel> },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionModel {
    pub(crate) batches: Vec<BatchModel>,
    /// How many of them are on the disk.
    pub(crate) synced_batches: usize,
    /// Sent last, and not answered.
    pub(crate) doubtful: Option<BatchModel>,
    /// Nothing below may be read any more (DeleteRecords, retention).
    pub(crate) start_offset: i64,
    pub(crate) doubtful_starts: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchModel {
    pub(crate) base_offset: i64,
    pub(crate) values: Vec<String>,
    pub(crate) producer: Option<Sequence>,
    /// Which of the model's transactions it belongs to.
    pub(crate) transaction: Option<usize>,
}

/// Which producer sent a batch, and where in its sequence it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// A transactional producer.
#[derive(Clone, Debug)]
pub(crate) struct TransactionalModel {
    pub(crate) id: String,
    /// `None` before the first InitProducerId, and whenever something went wrong.
    pub(crate) identity: Option<(i64, i16)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) outcome: Outcome,
    /// What it commits for a consumer group.
    pub(crate) offsets: Vec<(OffsetKey, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed,
    /// Nobody asked for its commit, or it was aborted.
    Aborted,
    /// Its commit was not answered: all of it counts, or nothing.
    Doubtful,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetModel {
    pub(crate) committed: Option<i64>,
    pub(crate) doubtful: Option<i64>,
    /// Its topic was to be deleted.
    pub(crate) may_be_gone: bool,
}

impl PartitionModel {
    pub(crate) fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, BatchModel::end_offset).max(self.start_offset)
    }

    /// What comes next of an idempotent producer.
    pub(crate) fn next_sequence(&self, producer_id: i64) -> i32 {
        let sent = self.batches.iter().rev().find_map(|batch| {
            let sequence = batch.producer.filter(|sequence| sequence.producer_id == producer_id)?;
            Some(sequence.base_sequence + batch.values.len() as i32)
        });
        sent.unwrap_or(0)
    }

    /// Every record that must be there, of whatever transaction.
    pub(crate) fn records(&self) -> impl Iterator<Item = (i64, &str)> {
        let all = self
            .batches
            .iter()
            .flat_map(|batch| (batch.base_offset..).zip(batch.values.iter().map(String::as_str)));
        all.filter(|(offset, _)| *offset >= self.start_offset)
    }
}

impl BatchModel {
    pub(crate) fn end_offset(&self) -> i64 {
        self.base_offset + self.values.len() as i64
    }
}

impl Model {
    /// The disk has everything that was acknowledged.
    pub(crate) fn all_is_synced(&mut self) {
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.synced_batches = partition.batches.len();
        }
        self.offsets_log.sync();
    }

    /// Every partition that certainly is there.
    pub(crate) fn partitions(&self) -> Vec<(String, i32)> {
        self.partitions_of(|_| true)
    }

    /// Those whose records are not compacted: a producer's repeats are recognised as long as its batches are there.
    pub(crate) fn uncompacted(&self) -> Vec<(String, i32)> {
        self.partitions_of(|kind| kind != Kind::Compacted)
    }

    fn partitions_of(&self, wanted: impl Fn(Kind) -> bool) -> Vec<(String, i32)> {
        let of_topic = |(name, topic): (&String, &TopicModel)| {
            (0..topic.partitions.len() as i32).map(|partition| (name.clone(), partition)).collect::<Vec<_>>()
        };
        self.topics.iter().filter(|(_, topic)| wanted(topic.kind)).flat_map(of_topic).collect()
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
        self.offsets_log.forget_topic(topic);
        gone
    }
}

/// What a run was about, so that one which only collects refusals is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    lives: u64,
    crashes: u64,
    batches: u64,
    idempotent_batches: u64,
    committed_transactions: u64,
    aborted_transactions: u64,
    offsets: u64,
    lost_batches: u64,
}

impl Model {
    pub(crate) fn tally(&self, lives: u64, crashes: u64) -> Tally {
        let batches = || {
            let partitions = self.topics.values().flat_map(|topic| &topic.partitions);
            partitions.flat_map(|partition| &partition.batches)
        };
        let ended = |outcome| self.transactions.iter().filter(|one| one.outcome == outcome).count() as u64;
        Tally {
            lives,
            crashes,
            batches: batches().count() as u64,
            idempotent_batches: batches().filter(|batch| batch.producer.is_some()).count() as u64,
            committed_transactions: ended(Outcome::Committed),
            aborted_transactions: ended(Outcome::Aborted),
            offsets: self.offsets.values().filter(|offset| offset.committed.is_some()).count() as u64,
            lost_batches: self.lost_batches,
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.lives += other.lives;
        self.crashes += other.crashes;
        self.batches += other.batches;
        self.idempotent_batches += other.idempotent_batches;
        self.committed_transactions += other.committed_transactions;
        self.aborted_transactions += other.aborted_transactions;
        self.offsets += other.offsets;
        self.lost_batches += other.lost_batches;
    }

    /// In an average life.
    pub(crate) fn is_worth_something(&self, ending: Ending) -> bool {
        let of_ending = match ending {
            Ending::PowerCutWithinInterval => self.lost_batches,
            Ending::Kill | Ending::PowerCut | Ending::DiskFull => self.committed_transactions,
        };
        let counts = [self.batches, self.idempotent_batches, self.offsets, of_ending];
        counts.into_iter().all(|count| count >= self.lives / 4)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lives, {} of which ended in a crash; ", self.lives, self.crashes)?;
        write!(f, "in the end {} batches, ", self.batches)?;
        write!(f, "{} of them with a sequence, {} group offsets, ", self.idempotent_batches, self.offsets)?;
        write!(f, "{} committed and ", self.committed_transactions)?;
        write!(f, "{} aborted transactions, ", self.aborted_transactions)?;
        write!(f, "{} batches lost that were not synced", self.lost_batches)
    }
}
