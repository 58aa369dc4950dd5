//! What a log must know, worked out anew from everything that was appended to it.

use std::collections::{BTreeMap, VecDeque};

use ottla_storage::{
    AbortedTransaction, ActiveProducer, SequenceError, TransactionMarker, TransactionOutcome,
};

use crate::fixture::{Batch, NOW_MS, aborted};

/// A batch of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) base_offset: i64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Data(Batch),
    Marker(TransactionMarker),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) history: Vec<Entry>,
}

/// A transaction that has ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    producer_id: i64,
    first_offset: i64,
    marker_offset: i64,
    outcome: TransactionOutcome,
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) epoch: i16,
    coordinator_epoch: i32,
    /// Sequences and base offset of the last five batches of the epoch.
    pub(crate) batches: VecDeque<(Batch, i64)>,
    pub(crate) open: Option<i64>,
    last_timestamp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Appended,
    DuplicateOf(i64),
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    OutOfOrder,
    OldEpoch,
    NotOpen,
    OutsideTransaction,
    CoordinatorFenced,
}

impl From<SequenceError> for Refusal {
    fn from(error: SequenceError) -> Refusal {
        match error {
            SequenceError::OutOfOrderSequence { .. } => Refusal::OutOfOrder,
            SequenceError::InvalidProducerEpoch { .. } => Refusal::OldEpoch,
            SequenceError::NoOpenTransaction { .. } => Refusal::NotOpen,
            SequenceError::OutsideTransaction { .. } => Refusal::OutsideTransaction,
        }
    }
}

impl Entry {
    pub(crate) fn next_offset(&self) -> i64 {
        match self.kind {
            Kind::Data(batch) => self.base_offset + i64::from(batch.count),
            Kind::Marker(_) => self.base_offset + 1,
        }
    }
}

impl Oracle {
    pub(crate) fn end(&self) -> i64 {
        self.history.last().map_or(0, Entry::next_offset)
    }

    pub(crate) fn push(&mut self, kind: Kind) {
        self.history.push(Entry { base_offset: self.end(), kind });
    }

    pub(crate) fn stable(&self) -> i64 {
        self.known().values().filter_map(|producer| producer.open).min().unwrap_or(self.end())
    }

    pub(crate) fn known(&self) -> BTreeMap<i64, Known> {
        let mut known: BTreeMap<i64, Known> = BTreeMap::new();
        for entry in &self.history {
            let (id, epoch) = match entry.kind {
                Kind::Data(batch) => (batch.id, batch.epoch),
                Kind::Marker(marker) => (marker.producer_id, marker.producer_epoch),
            };
            let producer = known.entry(id).or_insert_with(Known::new);
            if producer.epoch != epoch {
                producer.epoch = epoch;
                producer.batches.clear();
            }
            match entry.kind {
                Kind::Data(batch) => {
                    producer.batches.push_back((batch, entry.base_offset));
                    if producer.batches.len() > 5 {
                        producer.batches.pop_front();
                    }
                    if batch.transactional {
                        producer.open.get_or_insert(entry.base_offset);
                    }
                    producer.last_timestamp = batch.timestamp + i64::from(batch.count) - 1;
                }
                Kind::Marker(marker) => {
                    producer.open = None;
                    producer.coordinator_epoch = marker.coordinator_epoch;
                    producer.last_timestamp = NOW_MS;
                }
            }
        }
        known
    }

    pub(crate) fn active_producers(&self) -> Vec<ActiveProducer> {
        let known = self.known().into_iter().map(|(producer_id, known)| ActiveProducer {
            producer_id,
            producer_epoch: known.epoch,
            last_sequence: known.batches.back().map_or(-1, |(batch, _)| batch.last_sequence()),
            last_timestamp: known.last_timestamp,
            coordinator_epoch: known.coordinator_epoch,
            current_txn_first_offset: known.open,
        });
        known.collect()
    }

    /// In the order of their markers.
    fn ended(&self) -> Vec<Ended> {
        let mut open: BTreeMap<i64, i64> = BTreeMap::new();
        let mut ended = Vec::new();
        for entry in &self.history {
            match entry.kind {
                Kind::Data(batch) if batch.transactional => {
                    open.entry(batch.id).or_insert(entry.base_offset);
                }
                Kind::Data(_) => {}
                Kind::Marker(TransactionMarker { producer_id, outcome, .. }) => {
                    let marker_offset = entry.base_offset;
                    ended.extend(open.remove(&producer_id).map(|first_offset| Ended {
                        producer_id,
                        first_offset,
                        marker_offset,
                        outcome,
                    }));
                }
            }
        }
        ended
    }

    pub(crate) fn aborted(&self, from_offset: i64, upper_bound: i64) -> Vec<AbortedTransaction> {
        let ended = self.ended().into_iter().filter(|ended| {
            ended.outcome == TransactionOutcome::Abort
                && ended.marker_offset >= from_offset
                && ended.first_offset < upper_bound
        });
        ended.map(|ended| aborted(ended.producer_id, ended.first_offset)).collect()
    }

    /// The base offsets of what a consumer of committed records gets.
    pub(crate) fn committed(&self) -> Vec<i64> {
        let (stable, ended) = (self.stable(), self.ended());
        let is_aborted = |batch: &Batch, offset: i64| {
            let mut ends = ended.iter().filter(|ended| ended.producer_id == batch.id);
            let end = ends.find(|ended| ended.first_offset <= offset && offset < ended.marker_offset);
            end.is_some_and(|ended| ended.outcome == TransactionOutcome::Abort)
        };
        let visible = self.history.iter().filter(|entry| match &entry.kind {
            Kind::Data(batch) => {
                entry.base_offset < stable && !(batch.transactional && is_aborted(batch, entry.base_offset))
            }
            Kind::Marker(_) => false,
        });
        visible.map(|entry| entry.base_offset).collect()
    }

    /// `lowest` is the lowest sequence that a verification of this producer has seen, if there is one; `is_verified`
    /// whether the batch comes with its guard. All producers raise their epoch with each transaction.
    pub(crate) fn judge(&self, batch: Batch, lowest: Option<i32>, is_verified: bool) -> Expected {
        let known = self.known();
        let unknown = Known::new();
        let producer = known.get(&batch.id).unwrap_or(&unknown);
        let sent_before = producer.batches.iter().find(|(sent, _)| {
            (sent.epoch, sent.base_sequence, sent.count) == (batch.epoch, batch.base_sequence, batch.count)
        });
        if let Some(&(_, base_offset)) = sent_before {
            return Expected::DuplicateOf(base_offset);
        }
        if batch.epoch < producer.epoch {
            return Expected::Refused(Refusal::OldEpoch);
        }
        let is_open = producer.open.is_some() && producer.epoch == batch.epoch;
        if batch.transactional && !is_open && !is_verified {
            return Expected::Refused(Refusal::NotOpen);
        }
        if lowest.is_some_and(|lowest| {
            batch.base_sequence > lowest || producer.batches.is_empty() && batch.base_sequence != 0
        }) {
            return Expected::Refused(Refusal::OutOfOrder);
        }
        let next = match producer.batches.back() {
            Some((last, _)) if producer.epoch == batch.epoch => last.last_sequence() + 1,
            _ => 0,
        };
        if known.contains_key(&batch.id) && batch.base_sequence != next {
            return Expected::Refused(Refusal::OutOfOrder);
        }
        if producer.open.is_some() && !batch.transactional {
            return Expected::Refused(Refusal::OutsideTransaction);
        }
        Expected::Appended
    }

    pub(crate) fn judge_marker(&self, marker: TransactionMarker) -> Option<Refusal> {
        let known = self.known();
        let producer = known.get(&marker.producer_id)?;
        let is_late = marker.transaction_version >= 2
            && marker.producer_epoch == producer.epoch
            && producer.open.is_some();
        if marker.producer_epoch < producer.epoch || is_late {
            return Some(Refusal::OldEpoch);
        }
        (marker.coordinator_epoch < producer.coordinator_epoch).then_some(Refusal::CoordinatorFenced)
    }
}

impl Known {
    fn new() -> Known {
        Known { epoch: -1, coordinator_epoch: -1, batches: VecDeque::new(), open: None, last_timestamp: 0 }
    }
}
