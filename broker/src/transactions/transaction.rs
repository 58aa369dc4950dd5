//! Where one transactional id stands.

pub(crate) use ottla_storage::TransactionOutcome as Outcome;

use super::partition_set::PartitionSet;

/// The epochs of a producer id end here for clients: the one behind it is for the markers that fence the last of them.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer as one incarnation of it knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// The protocol that a client ends its transactions in: `transaction.version`, as far as it makes a difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientVersion {
    /// One epoch for many transactions.
    V0,
    /// Each transaction has an epoch of its own (KIP-890).
    V2,
}

/// A transactional id: its producer, and its transaction if there is one.
///
/// The states between which Kafka waits for its own log are not here: an id is locked while its record is written, so
/// nobody sees PrepareEpochFence, and an id that is Dead is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    /// The producer's id before the last change.
    pub(crate) previous_id: Option<i64>,
    /// The epoch that a producer may still name to go on (KIP-360). As in Kafka it is not in the log: after a restart
    /// such a retry is fenced.
    pub(crate) last_epoch: Option<i16>,
    pub(crate) timeout_ms: i32,
    pub(crate) last_update_ms: i64,
    pub(crate) client_version: ClientVersion,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// No transaction since the producer was initialised.
    Empty,
    Ongoing {
        partitions: PartitionSet,
        start_ms: i64,
    },
    /// Decided, and being written to the partitions.
    Prepare {
        outcome: Outcome,
        partitions: PartitionSet,
        start_ms: i64,
        next_id: Option<i64>,
    },
    /// Ended in all partitions.
    Complete {
        outcome: Outcome,
        start_ms: i64,
    },
}

impl Transaction {
    /// The state's name, as Kafka's tools print it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Ongoing { .. } => "Ongoing",
            State::Prepare { outcome: Outcome::Commit, .. } => "PrepareCommit",
            State::Prepare { outcome: Outcome::Abort, .. } => "PrepareAbort",
            State::Complete { outcome: Outcome::Commit, .. } => "CompleteCommit",
            State::Complete { outcome: Outcome::Abort, .. } => "CompleteAbort",
        }
    }

    /// When the transaction began, in wall-clock milliseconds; `None` before the first.
    pub(crate) fn start_ms(&self) -> Option<i64> {
        match self.state {
            State::Empty => None,
            State::Ongoing { start_ms, .. }
            | State::Prepare { start_ms, .. }
            | State::Complete { start_ms, .. } => Some(start_ms),
        }
    }

    /// The partitions of a transaction that is not complete.
    pub(crate) fn partitions(&self) -> Option<&PartitionSet> {
        match &self.state {
            State::Ongoing { partitions, .. } | State::Prepare { partitions, .. } => Some(partitions),
            State::Empty | State::Complete { .. } => None,
        }
    }

    /// Whether the producer has left its transaction open for longer than `transaction.timeout.ms`.
    pub(crate) fn is_timed_out(&self, now_ms: i64) -> bool {
        match self.state {
            State::Ongoing { start_ms, .. } => start_ms.saturating_add(i64::from(self.timeout_ms)) < now_ms,
            _ => false,
        }
    }

    /// Whether nobody has used the id for `transactional.id.expiration.ms`. An open transaction keeps it.
    pub(crate) fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        matches!(self.state, State::Empty | State::Complete { .. })
            && self.last_update_ms <= now_ms.saturating_sub(expiration_ms)
    }

    /// Whether the timer has to look after it.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(self.state, State::Ongoing { .. } | State::Prepare { .. })
    }

    /// Whether the producer's next epoch needs a new id.
    pub(super) fn is_epoch_exhausted(&self) -> bool {
        is_exhausted(self.producer.epoch)
    }

    /// The same id with a state that follows: the fields that every change sets.
    pub(super) fn followed_by(&self, state: State, now_ms: i64) -> Transaction {
        Transaction {
            previous_id: Some(self.producer.id),
            last_update_ms: now_ms,
            state,
            ..self.clone_without_state()
        }
    }

    fn clone_without_state(&self) -> Transaction {
        Transaction {
            producer: self.producer,
            previous_id: self.previous_id,
            last_epoch: self.last_epoch,
            timeout_ms: self.timeout_ms,
            last_update_ms: self.last_update_ms,
            client_version: self.client_version,
            state: State::Empty,
        }
    }
}

pub(super) fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_EPOCH
}
