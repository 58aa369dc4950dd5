//! What a partition remembers of its idempotent and transactional producers (KIP-98), to recognise a batch that was
//! sent twice and to refuse one that leaves a gap. Pure: headers in, verdicts out.

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::{
    NO_PRODUCER_EPOCH,
    batch::{BatchHeader, RecordBatch},
    records::control::EndTransactionMarker,
};
use thiserror::Error;

/// A client has at most five unanswered batches in flight, so five are enough to recognise every retry.
const CACHED_BATCHES: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    producers: BTreeMap<i64, Producer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    /// The last batches of this epoch, oldest first.
    pub(crate) batches: VecDeque<CachedBatch>,
    pub(crate) last_timestamp: i64,
    /// −1 before the first transaction marker.
    pub(crate) coordinator_epoch: i32,
    pub(crate) current_txn_first_offset: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CachedBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Duplicate(CachedBatch),
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SequenceError {
    #[error(
        "producer {producer_id} sent sequence {received} where {expected} comes next: a batch is missing"
    )]
    OutOfOrderSequence { producer_id: i64, received: i32, expected: i32 },
    #[error("producer {producer_id} wrote with epoch {received}, but epoch {current} has written since")]
    InvalidProducerEpoch { producer_id: i64, received: i16, current: i16 },
}

impl ProducerStates {
    /// Whether a client's batch may be appended.
    pub(crate) fn check(&self, batch: &BatchHeader) -> Result<Verdict, SequenceError> {
        match self.producers.get(&batch.producer_id) {
            Some(producer) if batch.has_producer_id() => producer.check(batch),
            // An unknown producer may start anywhere: retention may have taken what it wrote before.
            _ => Ok(Verdict::New),
        }
    }

    /// Takes a batch into account, with the header that it has in the log.
    pub(crate) fn apply(&mut self, header: &BatchHeader, batch: &RecordBatch<'_>) {
        if !header.has_producer_id() {
            return;
        }
        match marker_coordinator_epoch(batch) {
            Some(coordinator_epoch) => self.end_transaction(header, coordinator_epoch),
            None => self.update(header),
        }
    }

    fn update(&mut self, batch: &BatchHeader) {
        let producer = self.producer(batch);
        producer.batches.push_back(CachedBatch {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        });
        if producer.batches.len() > CACHED_BATCHES {
            producer.batches.pop_front();
        }
        if batch.is_transactional() {
            producer.current_txn_first_offset.get_or_insert(batch.base_offset);
        }
    }

    /// A marker ends the transaction, and may raise the epoch.
    fn end_transaction(&mut self, marker: &BatchHeader, coordinator_epoch: i32) {
        let producer = self.producer(marker);
        producer.coordinator_epoch = coordinator_epoch;
        producer.current_txn_first_offset = None;
    }

    /// Forgets producers that have been silent for longer than `producer.id.expiration.ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.current_txn_first_offset.is_some()
                || now_ms.saturating_sub(producer.last_timestamp) < expiration_ms
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(&producer_id, producer)| (producer_id, producer))
    }

    pub(crate) fn insert(&mut self, producer_id: i64, producer: Producer) {
        self.producers.insert(producer_id, producer);
    }

    /// The batch's producer, at the batch's epoch.
    fn producer(&mut self, batch: &BatchHeader) -> &mut Producer {
        let producer = self.producers.entry(batch.producer_id).or_insert_with(Producer::unknown);
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = batch.max_timestamp;
        producer
    }
}

impl Producer {
    fn unknown() -> Producer {
        Producer {
            epoch: NO_PRODUCER_EPOCH,
            batches: VecDeque::new(),
            last_timestamp: 0,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
        }
    }

    fn check(&self, batch: &BatchHeader) -> Result<Verdict, SequenceError> {
        let BatchHeader { producer_id, producer_epoch, base_sequence: received, .. } = *batch;
        if producer_epoch < self.epoch {
            let current = self.epoch;
            return Err(SequenceError::InvalidProducerEpoch {
                producer_id,
                received: producer_epoch,
                current,
            });
        }
        if producer_epoch == self.epoch
            && let Some(duplicate) = self.batches.iter().find(|cached| cached.is_repeated_by(batch))
        {
            return Ok(Verdict::Duplicate(*duplicate));
        }
        let expected = self.next_sequence(producer_epoch);
        if received != expected {
            return Err(SequenceError::OutOfOrderSequence { producer_id, received, expected });
        }
        Ok(Verdict::New)
    }

    /// A new epoch begins at zero, and so does one whose only trace is a transaction marker.
    fn next_sequence(&self, epoch: i16) -> i32 {
        match self.batches.back() {
            Some(last) if epoch == self.epoch => last.last_sequence.checked_add(1).unwrap_or(0),
            _ => 0,
        }
    }
}

/// `None` for a batch that is no transaction marker.
fn marker_coordinator_epoch(batch: &RecordBatch<'_>) -> Option<i32> {
    if !batch.header().is_control() {
        return None;
    }
    let records = batch.records(batch.size_bytes()).ok()?;
    let marker = records.iter().next()?.ok()?;
    EndTransactionMarker::decode(marker.value?).ok().map(|marker| marker.coordinator_epoch)
}

impl CachedBatch {
    pub(crate) fn base_offset(self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn is_repeated_by(&self, batch: &BatchHeader) -> bool {
        self.last_sequence == batch.last_sequence() && self.offset_delta == batch.last_offset_delta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: i64 = 7;

    fn batch(epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 100,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 1000,
            max_timestamp: 1000,
            producer_id: ID,
            producer_epoch: epoch,
            base_sequence,
            records_count: count,
        }
    }

    fn states(batches: &[BatchHeader]) -> ProducerStates {
        let mut states = ProducerStates::default();
        for batch in batches {
            assert_eq!(states.check(batch), Ok(Verdict::New));
            states.update(batch);
        }
        states
    }

    #[test]
    fn each_of_the_last_five_batches_is_recognised() {
        let sent: Vec<_> = (0..6).map(|i| batch(0, 10 * i, 10, 10 * i64::from(i))).collect();
        let states = states(&sent);
        for repeated in &sent[1..] {
            let Ok(Verdict::Duplicate(found)) = states.check(repeated) else { panic!("{repeated:?}") };
            assert_eq!(found.base_offset(), repeated.base_offset);
        }
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 0, expected: 60 };
        assert_eq!(states.check(&sent[0]), Err(error));
    }

    #[test]
    fn a_gap_is_refused() {
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 3, expected: 2 };
        assert_eq!(states(&[batch(0, 0, 2, 0)]).check(&batch(0, 3, 1, 2)), Err(error));
    }

    #[test]
    fn a_longer_batch_from_the_same_sequence_is_no_duplicate() {
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 0, expected: 2 };
        assert_eq!(states(&[batch(0, 0, 2, 0)]).check(&batch(0, 0, 3, 2)), Err(error));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let states = states(&[batch(0, i32::MAX - 1, 2, 0)]);
        assert_eq!(states.check(&batch(0, 0, 1, 2)), Ok(Verdict::New));
        let spanning = batch(0, i32::MAX, 3, 0);
        assert_eq!(spanning.last_sequence(), 1);
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: i32::MAX, expected: 0 };
        assert_eq!(states.check(&spanning), Err(error));
    }

    #[test]
    fn epochs_only_rise_and_begin_at_zero() {
        let states = states(&[batch(1, 0, 2, 0)]);
        let old = SequenceError::InvalidProducerEpoch { producer_id: ID, received: 0, current: 1 };
        assert_eq!(states.check(&batch(0, 2, 1, 2)), Err(old));
        let gap = SequenceError::OutOfOrderSequence { producer_id: ID, received: 2, expected: 0 };
        assert_eq!(states.check(&batch(2, 2, 1, 2)), Err(gap));
        assert_eq!(states.check(&batch(2, 0, 1, 2)), Ok(Verdict::New));
    }

    #[test]
    fn silent_producers_are_forgotten_unless_in_a_transaction() {
        let mut states = states(&[batch(0, 5, 1, 0)]);
        states.expire(1999, 1000);
        assert_eq!(states.iter().count(), 1);
        let open = BatchHeader { producer_id: 8, attributes: 0x10, ..batch(0, 0, 1, 1) };
        states.update(&open);
        states.expire(2000, 1000);
        assert_eq!(states.iter().map(|(id, _)| id).collect::<Vec<_>>(), [8]);
        states.end_transaction(&open, 3);
        states.expire(2000, 1000);
        assert_eq!(states, ProducerStates::default());
    }
}
