//! Which producers are having a transaction verified (KIP-890).
//!
//! Before a transactional producer's first batch is appended, its transaction coordinator is asked whether the
//! transaction is open. Meanwhile a marker may end the transaction; the batch would then open one that nobody ends.
//! So the question leaves a guard here, the append has to show it, and a marker takes it away.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use ottla_protocol::NO_SEQUENCE;

/// Over it the oldest is forgotten, whose producer is then told to try again.
const MAX_VERIFICATIONS: usize = 10_000;

/// Shows that the transaction coordinator was asked about a producer's transaction, by one log, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerificationGuard(u64);

impl VerificationGuard {
    fn new() -> VerificationGuard {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        VerificationGuard(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct Verification {
    pub(super) guard: VerificationGuard,
    /// What the producer wants to begin with. Nothing behind it is appended first.
    pub(super) lowest_sequence: i32,
    epoch: i16,
    /// The producer follows KIP-890 throughout: it has a new epoch for each transaction, which begins at sequence 0.
    pub(super) supports_epoch_bump: bool,
    started_ms: i64,
}

/// The verifications that no batch or marker has ended yet, by producer.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    started: BTreeMap<i64, Verification>,
}

/// A batch whose transaction shall be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationRequest {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// −1 for what a coordinator appends, which has no sequence.
    pub base_sequence: i32,
    /// The producer speaks the second version of transactions (`transaction.version` 2, Produce v12).
    pub supports_epoch_bump: bool,
}

impl Verifications {
    /// One producer has one guard, however often it asks.
    pub(crate) fn start(&mut self, request: VerificationRequest, now_ms: i64) -> VerificationGuard {
        let VerificationRequest { producer_id, producer_epoch, base_sequence, supports_epoch_bump } = request;
        if self.started.len() >= MAX_VERIFICATIONS && !self.started.contains_key(&producer_id) {
            self.forget_oldest();
        }
        let verification = self.started.entry(producer_id).or_insert_with(|| Verification {
            guard: VerificationGuard::new(),
            lowest_sequence: base_sequence,
            epoch: producer_epoch,
            supports_epoch_bump,
            started_ms: now_ms,
        });
        let earlier = producer_epoch == verification.epoch && base_sequence < verification.lowest_sequence;
        if earlier || producer_epoch > verification.epoch {
            verification.epoch = producer_epoch;
            verification.lowest_sequence = base_sequence;
        }
        verification.guard
    }

    pub(crate) fn get(&self, producer_id: i64) -> Option<&Verification> {
        self.started.get(&producer_id)
    }

    /// The transaction is in the log now, or over.
    pub(crate) fn end(&mut self, producer_id: i64) {
        self.started.remove(&producer_id);
    }

    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.started.retain(|_, started| now_ms.saturating_sub(started.started_ms) < expiration_ms);
    }

    fn forget_oldest(&mut self) {
        let oldest = self.started.iter().min_by_key(|(_, started)| started.guard);
        if let Some(producer_id) = oldest.map(|(&producer_id, _)| producer_id) {
            self.started.remove(&producer_id);
        }
    }
}

impl VerificationRequest {
    /// Of a batch that a coordinator appends in the producer's name.
    pub fn without_sequence(producer_id: i64, producer_epoch: i16) -> VerificationRequest {
        VerificationRequest {
            producer_id,
            producer_epoch,
            base_sequence: NO_SEQUENCE,
            supports_epoch_bump: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> VerificationRequest {
        VerificationRequest { producer_id, producer_epoch, base_sequence, supports_epoch_bump: false }
    }

    #[test]
    fn the_lowest_sequence_of_the_newest_epoch_is_kept() {
        let mut verifications = Verifications::default();
        let guard = verifications.start(request(1, 0, 5), 0);
        for (asked, lowest) in
            [(request(1, 0, 7), 5), (request(1, 0, 2), 2), (request(1, 1, 9), 9), (request(1, 0, 0), 9)]
        {
            assert_eq!(verifications.start(asked, 0), guard);
            assert_eq!(verifications.get(1).unwrap().lowest_sequence, lowest, "{asked:?}");
        }
    }

    #[test]
    fn a_producer_whose_verification_ended_gets_another_guard() {
        let mut verifications = Verifications::default();
        let guard = verifications.start(request(1, 0, 0), 0);
        verifications.end(1);
        assert!(verifications.get(1).is_none());
        assert_ne!(verifications.start(request(1, 0, 0), 0), guard);
    }

    #[test]
    fn a_verification_that_nobody_ends_is_forgotten() {
        let mut verifications = Verifications::default();
        verifications.start(request(1, 0, 0), 0);
        verifications.start(request(2, 0, 0), 500);
        verifications.expire(1000, 1000);
        assert!(verifications.get(1).is_none() && verifications.get(2).is_some());
    }

    #[test]
    fn a_flood_of_producers_pushes_out_the_oldest() {
        let mut verifications = Verifications::default();
        for producer_id in 0..=MAX_VERIFICATIONS as i64 {
            verifications.start(request(producer_id, 0, 0), 0);
        }
        assert!(verifications.get(0).is_none() && verifications.get(1).is_some());
        assert_eq!(verifications.started.len(), MAX_VERIFICATIONS);
    }
}
