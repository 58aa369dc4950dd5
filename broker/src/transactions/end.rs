//! EndTxn, and the ends that the coordinator itself makes: fencing, and completion once the markers are written.

use ottla_protocol::ErrorCode;

use super::partition_set::PartitionSet;
use super::transaction::{ClientVersion, Outcome, Producer, State, Transaction};

/// What an EndTxn asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) producer: Producer,
    pub(crate) outcome: Outcome,
    pub(crate) client_version: ClientVersion,
}

/// What becomes of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Decided: its markers can be written once this is in the log.
    Now(Transaction),
    /// The request has come before.
    Before,
}

impl Transaction {
    /// `new_id` gives a producer id that nobody else has; it is called if the epochs of this one are used up.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS while it is being ended that way already,
    /// INVALID_TXN_STATE, and those of `new_id`.
    pub(crate) fn end(
        &self,
        end: End,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Ended, ErrorCode> {
        match end.client_version {
            ClientVersion::V0 => self.end_v0(end, now_ms),
            ClientVersion::V2 => self.end_v2(end, new_id, now_ms),
        }
    }

    /// The epoch stays, so that a second request cannot be told from one for the next transaction.
    fn end_v0(&self, end: End, now_ms: i64) -> Result<Ended, ErrorCode> {
        if end.producer.id != self.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if end.producer.epoch != self.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match &self.state {
            State::Ongoing { partitions, start_ms } => {
                let state = prepare(end.outcome, partitions.clone(), *start_ms, None);
                let next = self.followed_by(state, now_ms);
                Ok(Ended::Now(Transaction { client_version: ClientVersion::V0, ..next }))
            }
            State::Complete { outcome, .. } if *outcome == end.outcome => Ok(Ended::Before),
            State::Prepare { outcome, .. } if *outcome == end.outcome => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// KIP-890: each transaction has its epoch, so that a request which comes late does not decide the next one. An
    /// abort is good without a transaction: a producer cannot know whether its writes have begun one.
    fn end_v2(
        &self,
        end: End,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Ended, ErrorCode> {
        let is_current = end.producer == self.producer;
        let is_repeated = self.has_followed(end.producer);
        if end.producer.id != self.producer.id && !is_repeated {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        match &self.state {
            State::Ongoing { partitions, start_ms } if is_current => {
                self.prepare(end.outcome, partitions.clone(), *start_ms, new_id, now_ms).map(Ended::Now)
            }
            State::Empty | State::Complete { .. } if is_current && end.outcome == Outcome::Abort => {
                let none = PartitionSet::default();
                self.prepare(end.outcome, none, now_ms, new_id, now_ms).map(Ended::Now)
            }
            State::Empty | State::Complete { .. } if is_current => Err(ErrorCode::InvalidTxnState),
            State::Complete { outcome, .. } if is_repeated && *outcome == end.outcome => Ok(Ended::Before),
            State::Prepare { outcome, .. } if is_repeated && *outcome == end.outcome => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            State::Complete { .. } | State::Prepare { .. } if is_repeated => Err(ErrorCode::InvalidTxnState),
            _ => Err(ErrorCode::ProducerFenced),
        }
    }

    /// Whether this producer is the one that follows `earlier` when a transaction ends.
    fn has_followed(&self, earlier: Producer) -> bool {
        let Producer { id, epoch } = self.producer;
        let is_next_epoch = id == earlier.id && earlier.epoch.checked_add(1) == Some(epoch);
        let is_next_id = self.previous_id == Some(earlier.id) && earlier.epoch == i16::MAX - 1 && epoch == 0;
        is_next_epoch || is_next_id
    }

    /// Aborts an open transaction whose producer is not heard any more: what it still sends has an old epoch.
    ///
    /// # Errors
    /// INVALID_TXN_STATE without an open transaction, and those of `new_id`.
    pub(crate) fn fence(
        &self,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Transaction, ErrorCode> {
        match &self.state {
            State::Ongoing { partitions, start_ms } => {
                self.prepare(Outcome::Abort, partitions.clone(), *start_ms, new_id, now_ms)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// Decided, with the epoch that the markers carry and that the producer goes on with.
    fn prepare(
        &self,
        outcome: Outcome,
        partitions: PartitionSet,
        start_ms: i64,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Transaction, ErrorCode> {
        let next_id = if self.is_epoch_exhausted() { Some(new_id()?) } else { None };
        let next = self.followed_by(prepare(outcome, partitions, start_ms, next_id), now_ms);
        Ok(Transaction {
            producer: Producer { epoch: self.producer.epoch.saturating_add(1), ..self.producer },
            last_epoch: Some(self.producer.epoch),
            client_version: ClientVersion::V2,
            ..next
        })
    }

    /// The transaction after its markers are written; `None` if it is not being ended.
    pub(crate) fn complete(&self, now_ms: i64) -> Option<Transaction> {
        let State::Prepare { outcome, start_ms, next_id, .. } = self.state else { return None };
        let next = self.followed_by(State::Complete { outcome, start_ms }, now_ms);
        let producer = next_id.map_or(self.producer, |id| Producer { id, epoch: 0 });
        Some(Transaction { producer, ..next })
    }
}

fn prepare(outcome: Outcome, partitions: PartitionSet, start_ms: i64, next_id: Option<i64>) -> State {
    State::Prepare { outcome, partitions, start_ms, next_id }
}
