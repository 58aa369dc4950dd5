//! What a partition remembers of its idempotent and transactional producers (KIP-98), to recognise a batch that was
//! sent twice, to refuse one that leaves a gap, and to know which transactions are open. Pure: headers in, verdicts
//! out.

mod producer;
mod verification;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, VecDeque},
};

use ottla_protocol::{
    batch::{BatchHeader, RecordBatch},
    records::control::{ControlRecordType, EndTransactionMarker},
};
pub(crate) use producer::{CachedBatch, OldestKnown, Producer};
use thiserror::Error;
pub(crate) use verification::Verifications;
pub use verification::{VerificationGuard, VerificationRequest};

use crate::{
    compaction::LastTrace,
    log::{AppendOrigin, MarkerError, TransactionMarker},
    transaction_index::AbortedEntry,
};

/// From this version of `transaction.version` on each marker raises its producer's epoch (KIP-890).
const EPOCH_BUMP_VERSION: i16 = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    producers: BTreeMap<i64, Producer>,
    /// The producers with an open transaction, by its first offset.
    open_transactions: BTreeMap<i64, i64>,
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
    #[error(
        "producer {producer_id} sent a transactional batch, but its transaction is not open, or was ended meanwhile"
    )]
    NoOpenTransaction { producer_id: i64 },
    #[error(
        "producer {producer_id} sent a batch outside its transaction, which began at offset {first_offset} and is open"
    )]
    OutsideTransaction { producer_id: i64, first_offset: i64 },
}

impl ProducerStates {
    /// Whether a batch may be appended, in Kafka's order of questions. `guard` is what came with it.
    pub(crate) fn check(
        &self,
        batch: &BatchHeader,
        origin: AppendOrigin,
        verifications: &Verifications,
        guard: Option<VerificationGuard>,
    ) -> Result<Verdict, SequenceError> {
        if !batch.has_producer_id() {
            return Ok(Verdict::New);
        }
        let unknown = Producer::unknown();
        let producer = self.producers.get(&batch.producer_id).unwrap_or(&unknown);
        let from_client = origin == AppendOrigin::Client;
        if from_client && let Some(duplicate) = producer.duplicate_of(batch) {
            return Ok(Verdict::Duplicate(duplicate));
        }
        producer.check_epoch(batch)?;
        let verification = verifications.get(batch.producer_id);
        if batch.is_transactional()
            && !producer.is_in_transaction(batch.producer_epoch)
            && (guard.is_none() || guard != verification.map(|started| started.guard))
        {
            return Err(SequenceError::NoOpenTransaction { producer_id: batch.producer_id });
        }
        if from_client {
            producer.check_sequence(batch, verification)?;
        }
        match producer.current_txn_first_offset {
            Some(first_offset) if !batch.is_transactional() => {
                Err(SequenceError::OutsideTransaction { producer_id: batch.producer_id, first_offset })
            }
            _ => Ok(Verdict::New),
        }
    }

    /// Whether a marker may be appended. One that comes again is, when its first copy has ended the transaction.
    pub(crate) fn check_marker(&self, marker: &TransactionMarker) -> Result<(), MarkerError> {
        let &TransactionMarker { producer_id, producer_epoch, coordinator_epoch, .. } = marker;
        let Some(producer) = self.producers.get(&producer_id) else { return Ok(()) };
        let too_old = match producer_epoch.cmp(&producer.epoch) {
            Ordering::Less => true,
            // A marker that belongs to an earlier transaction must not end this one (KAFKA-17754, KAFKA-19999). The
            // last epoch cannot be raised.
            Ordering::Equal => {
                marker.transaction_version >= EPOCH_BUMP_VERSION
                    && producer.current_txn_first_offset.is_some()
                    && producer_epoch != i16::MAX
            }
            Ordering::Greater => false,
        };
        if too_old {
            return Err(producer.old_epoch(producer_id, producer_epoch).into());
        }
        let (received, current) = (coordinator_epoch, producer.coordinator_epoch);
        if received < current {
            return Err(MarkerError::CoordinatorFenced { producer_id, received, current });
        }
        Ok(())
    }

    /// Whether a batch of this producer must come with a guard. A producer with an open transaction needs none.
    pub(crate) fn needs_verification(&self, request: &VerificationRequest) -> Result<bool, SequenceError> {
        let &VerificationRequest { producer_id, producer_epoch, .. } = request;
        match self.producers.get(&producer_id) {
            Some(producer) if producer_epoch < producer.epoch => {
                Err(producer.old_epoch(producer_id, producer_epoch))
            }
            Some(producer) => Ok(!producer.is_in_transaction(producer_epoch)),
            None => Ok(true),
        }
    }

    /// Takes a batch into account, with the header that it has in the log. An abort marker gives the entry of the
    /// transaction that it ends.
    pub(crate) fn apply(&mut self, header: &BatchHeader, batch: &RecordBatch<'_>) -> Option<AbortedEntry> {
        if !header.has_producer_id() {
            return None;
        }
        if !header.is_control() {
            self.update(header);
            return None;
        }
        // Compaction may have emptied a control batch; then the whole transaction is gone.
        let (control_type, marker) = transaction_marker(batch)?;
        let (first_offset, last_stable_offset) = self.end_transaction(header, marker.coordinator_epoch)?;
        (control_type == ControlRecordType::Abort).then_some(AbortedEntry {
            producer_id: header.producer_id,
            first_offset,
            last_offset: header.base_offset,
            last_stable_offset,
        })
    }

    fn update(&mut self, batch: &BatchHeader) {
        let producer = self.producer(batch);
        producer.push(CachedBatch::of(batch));
        if batch.is_transactional() && producer.current_txn_first_offset.is_none() {
            producer.current_txn_first_offset = Some(batch.base_offset);
            self.open_transactions.insert(batch.base_offset, batch.producer_id);
        }
    }

    /// The first offset of the transaction that the marker ends, and the last stable offset that it leaves; `None` if
    /// no transaction was open.
    fn end_transaction(&mut self, marker: &BatchHeader, coordinator_epoch: i32) -> Option<(i64, i64)> {
        let producer = self.producer(marker);
        producer.coordinator_epoch = coordinator_epoch;
        let first_offset = producer.current_txn_first_offset.take()?;
        self.open_transactions.remove(&first_offset);
        Some((first_offset, self.first_undecided_offset().unwrap_or(marker.next_offset())))
    }

    /// Where the oldest open transaction begins.
    pub(crate) fn first_undecided_offset(&self) -> Option<i64> {
        self.open_transactions.first_key_value().map(|(&first_offset, _)| first_offset)
    }

    /// Forgets producers that have been silent for longer than `producer.id.expiration.ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.current_txn_first_offset.is_some()
                || now_ms.saturating_sub(producer.last_timestamp) < expiration_ms
        });
    }

    /// The batches that compaction must not take without a trace.
    pub(crate) fn last_traces(&self) -> HashMap<i64, LastTrace> {
        let trace = |(&producer_id, producer): (&i64, &Producer)| {
            let trace = match producer.batches.back() {
                Some(last) => LastTrace::Records { last_offset: last.last_offset },
                None => LastTrace::Marker { producer_epoch: producer.epoch },
            };
            (producer_id, trace)
        };
        self.producers.iter().map(trace).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(&producer_id, producer)| (producer_id, producer))
    }

    pub(crate) fn insert(&mut self, producer_id: i64, producer: Producer) {
        if let Some(first_offset) = producer.current_txn_first_offset {
            self.open_transactions.insert(first_offset, producer_id);
        }
        self.producers.insert(producer_id, producer);
    }

    /// Of a producer whose earlier batches may be in the log without being known here.
    pub(crate) fn oldest_of_incomplete(&self, producer_id: i64) -> Option<OldestKnown> {
        self.producers.get(&producer_id)?.oldest_of_incomplete(producer_id)
    }

    /// Adds the batches that came before the oldest that is known.
    pub(crate) fn complete(&mut self, producer_id: i64, earlier: VecDeque<CachedBatch>) {
        if let Some(producer) = self.producers.get_mut(&producer_id) {
            producer.complete(earlier);
        }
    }

    /// The batch's producer, at the batch's epoch.
    fn producer(&mut self, batch: &BatchHeader) -> &mut Producer {
        let producer = self.producers.entry(batch.producer_id).or_insert_with(Producer::unknown);
        if producer.epoch != batch.producer_epoch {
            producer.begin_epoch(batch.producer_epoch);
        }
        producer.last_timestamp = batch.max_timestamp;
        producer
    }
}

/// `None` for a batch that is no transaction marker.
fn transaction_marker(batch: &RecordBatch<'_>) -> Option<(ControlRecordType, EndTransactionMarker)> {
    let records = batch.records(batch.size_bytes()).ok()?;
    let record = records.iter().next()?.ok()?;
    let control_type = ControlRecordType::decode_key(record.key?).ok()?;
    let is_marker = matches!(control_type, ControlRecordType::Abort | ControlRecordType::Commit);
    let marker = EndTransactionMarker::decode(record.value?).ok()?;
    is_marker.then_some((control_type, marker))
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
            assert_eq!(check(&states, batch), Ok(Verdict::New));
            states.update(batch);
        }
        states
    }

    fn check(states: &ProducerStates, batch: &BatchHeader) -> Result<Verdict, SequenceError> {
        states.check(batch, AppendOrigin::Client, &Verifications::default(), None)
    }

    #[test]
    fn each_of_the_last_five_batches_is_recognised() {
        let sent: Vec<_> = (0..6).map(|i| batch(0, 10 * i, 10, 10 * i64::from(i))).collect();
        let states = states(&sent);
        for repeated in &sent[1..] {
            let Ok(Verdict::Duplicate(found)) = check(&states, repeated) else { panic!("{repeated:?}") };
            assert_eq!(found.base_offset(), repeated.base_offset);
        }
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 0, expected: 60 };
        assert_eq!(check(&states, &sent[0]), Err(error));
    }

    #[test]
    fn a_gap_is_refused() {
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 3, expected: 2 };
        assert_eq!(check(&states(&[batch(0, 0, 2, 0)]), &batch(0, 3, 1, 2)), Err(error));
    }

    #[test]
    fn a_longer_batch_from_the_same_sequence_is_no_duplicate() {
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: 0, expected: 2 };
        assert_eq!(check(&states(&[batch(0, 0, 2, 0)]), &batch(0, 0, 3, 2)), Err(error));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let states = states(&[batch(0, i32::MAX - 1, 2, 0)]);
        assert_eq!(check(&states, &batch(0, 0, 1, 2)), Ok(Verdict::New));
        let spanning = batch(0, i32::MAX, 3, 0);
        assert_eq!(spanning.last_sequence(), 1);
        let error = SequenceError::OutOfOrderSequence { producer_id: ID, received: i32::MAX, expected: 0 };
        assert_eq!(check(&states, &spanning), Err(error));
    }

    #[test]
    fn epochs_only_rise_and_begin_at_zero() {
        let states = states(&[batch(1, 0, 2, 0)]);
        let old = SequenceError::InvalidProducerEpoch { producer_id: ID, received: 0, current: 1 };
        assert_eq!(check(&states, &batch(0, 2, 1, 2)), Err(old));
        let gap = SequenceError::OutOfOrderSequence { producer_id: ID, received: 2, expected: 0 };
        assert_eq!(check(&states, &batch(2, 2, 1, 2)), Err(gap));
        assert_eq!(check(&states, &batch(2, 0, 1, 2)), Ok(Verdict::New));
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
