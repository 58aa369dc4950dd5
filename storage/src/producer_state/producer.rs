//! One producer's last batches, and the rules by which the next one is judged.

use std::collections::VecDeque;

use ottla_protocol::{NO_PRODUCER_EPOCH, NO_SEQUENCE, batch::BatchHeader};

use super::{SequenceError, Verdict, verification::Verification};

/// A client has at most five unanswered batches in flight, so five are enough to recognise every retry.
const CACHED_BATCHES: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    /// The last batches of this epoch, oldest first.
    pub(crate) batches: VecDeque<CachedBatch>,
    /// It comes from a snapshot, which keeps one batch; those before may be in the log.
    pub(crate) incomplete: bool,
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

/// The oldest batch that is known of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OldestKnown {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_offset: i64,
    /// How many batches before it would be kept.
    pub(crate) missing: usize,
}

impl Producer {
    /// One that has written nothing yet; it may begin with any epoch and sequence, for retention may have taken what
    /// it wrote before.
    pub(super) fn unknown() -> Producer {
        Producer {
            epoch: NO_PRODUCER_EPOCH,
            batches: VecDeque::new(),
            incomplete: false,
            last_timestamp: 0,
            coordinator_epoch: -1,
            current_txn_first_offset: None,
        }
    }

    pub(crate) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(NO_SEQUENCE, |last| last.last_sequence)
    }

    pub(super) fn is_in_transaction(&self, epoch: i16) -> bool {
        self.current_txn_first_offset.is_some() && self.epoch == epoch
    }

    pub(super) fn duplicate_of(&self, batch: &BatchHeader) -> Option<CachedBatch> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        self.batches.iter().find(|cached| cached.is_repeated_by(batch)).copied()
    }

    /// What a data batch must fulfil, whoever appends it.
    pub(super) fn check_epoch(&self, batch: &BatchHeader) -> Result<(), SequenceError> {
        if batch.producer_epoch < self.epoch {
            return Err(self.old_epoch(batch.producer_id, batch.producer_epoch));
        }
        Ok(())
    }

    /// A producer that has a transaction verified is held back behind the lowest sequence that it asked for, so that
    /// a retry of an earlier batch finds its place (KIP-890).
    pub(super) fn check_sequence(
        &self,
        batch: &BatchHeader,
        verification: Option<&Verification>,
    ) -> Result<Verdict, SequenceError> {
        let received = batch.base_sequence;
        let out_of_order = |expected| SequenceError::OutOfOrderSequence {
            producer_id: batch.producer_id,
            received,
            expected,
        };
        if let Some(verification) = verification {
            if verification.supports_epoch_bump && received != 0 && self.batches.is_empty() {
                return Err(out_of_order(0));
            }
            if received > verification.lowest_sequence {
                return Err(out_of_order(verification.lowest_sequence));
            }
        }
        let expected = self.next_sequence(batch.producer_epoch);
        if self.epoch != NO_PRODUCER_EPOCH && received != expected {
            return Err(out_of_order(expected));
        }
        Ok(Verdict::New)
    }

    pub(super) fn old_epoch(&self, producer_id: i64, received: i16) -> SequenceError {
        SequenceError::InvalidProducerEpoch { producer_id, received, current: self.epoch }
    }

    pub(super) fn begin_epoch(&mut self, epoch: i16) {
        self.epoch = epoch;
        self.batches.clear();
        self.incomplete = false;
    }

    pub(super) fn oldest_of_incomplete(&self, producer_id: i64) -> Option<OldestKnown> {
        let missing = CACHED_BATCHES - self.batches.len();
        if !self.incomplete || missing == 0 {
            return None;
        }
        let base_offset = self.batches.front()?.base_offset();
        Some(OldestKnown { producer_id, epoch: self.epoch, base_offset, missing })
    }

    pub(super) fn complete(&mut self, earlier: VecDeque<CachedBatch>) {
        self.incomplete = false;
        for batch in earlier.into_iter().rev().take(CACHED_BATCHES - self.batches.len()) {
            self.batches.push_front(batch);
        }
    }

    pub(super) fn push(&mut self, batch: CachedBatch) {
        if self.batches.len() == CACHED_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }

    /// A new epoch begins at zero, and so does one whose only trace is a transaction marker.
    fn next_sequence(&self, epoch: i16) -> i32 {
        match self.batches.back() {
            Some(last) if epoch == self.epoch => last.last_sequence.checked_add(1).unwrap_or(0),
            _ => 0,
        }
    }
}

impl CachedBatch {
    pub(crate) fn of(batch: &BatchHeader) -> CachedBatch {
        CachedBatch {
            // What a coordinator writes for a producer has none.
            last_sequence: if batch.base_sequence == NO_SEQUENCE {
                NO_SEQUENCE
            } else {
                batch.last_sequence()
            },
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        }
    }

    pub(crate) fn base_offset(self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn is_repeated_by(&self, batch: &BatchHeader) -> bool {
        self.last_sequence == batch.last_sequence() && self.offset_delta == batch.last_offset_delta
    }
}
