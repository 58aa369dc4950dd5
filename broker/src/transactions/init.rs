//! InitProducerId: a producer comes, or comes back, and whoever wrote under its id before is fenced.

use ottla_protocol::ErrorCode;

use super::transaction::{ClientVersion, Producer, State, Transaction, is_exhausted};

/// What a producer asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Init {
    pub(crate) timeout_ms: i32,
    /// Who it was, if it goes on after an error (KIP-360).
    pub(crate) expected: Option<Producer>,
}

/// What becomes of the transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Initialized {
    /// Its producer is the one that asked.
    Ready(Transaction),
    /// A transaction is open: it is to be aborted first, under an epoch that fences its producer.
    Fenced(Transaction),
}

impl Transaction {
    /// A transactional id that nobody has used yet.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer: Producer { id: producer_id, epoch: 0 },
            previous_id: Some(producer_id),
            last_epoch: None,
            timeout_ms,
            last_update_ms: now_ms,
            client_version: ClientVersion::V0,
            state: State::Empty,
        }
    }

    /// `new_id` gives a producer id that nobody else has; it is called if the epochs of this one are used up.
    ///
    /// # Errors
    /// PRODUCER_FENCED, CONCURRENT_TRANSACTIONS while a transaction is being ended, and those of `new_id`.
    pub(crate) fn init(
        &self,
        init: Init,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
        now_ms: i64,
    ) -> Result<Initialized, ErrorCode> {
        if init.expected.is_some_and(|expected| !self.knows(expected)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match self.state {
            State::Prepare { .. } => Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing { .. } => Ok(Initialized::Fenced(self.fence(new_id, now_ms)?)),
            State::Empty | State::Complete { .. } => {
                let (producer, last_epoch) = self.next_producer(init.expected, new_id)?;
                let next = self.followed_by(State::Empty, now_ms);
                let timeout_ms = init.timeout_ms;
                Ok(Initialized::Ready(Transaction { producer, last_epoch, timeout_ms, ..next }))
            }
        }
    }

    /// Whether a producer can be the one before: by its id, or by the id before, if its epochs have ended since.
    fn knows(&self, expected: Producer) -> bool {
        expected.id == self.producer.id
            || (Some(expected.id) == self.previous_id && is_exhausted(expected.epoch))
    }

    /// The producer's next incarnation, and the epoch that may be named to ask for it again.
    fn next_producer(
        &self,
        expected: Option<Producer>,
        new_id: impl FnOnce() -> Result<i64, ErrorCode>,
    ) -> Result<(Producer, Option<i16>), ErrorCode> {
        let current = self.producer;
        match expected {
            // The answer was lost; nobody else has come since, or there would be no last epoch.
            Some(Producer { epoch, .. }) if epoch != current.epoch && Some(epoch) == self.last_epoch => {
                return Ok((current, self.last_epoch));
            }
            Some(Producer { epoch, .. }) if epoch != current.epoch => return Err(ErrorCode::ProducerFenced),
            _ => {}
        }
        let last_epoch = expected.map(|_| current.epoch);
        if self.is_epoch_exhausted() {
            return Ok((Producer { id: new_id()?, epoch: 0 }, last_epoch));
        }
        Ok((Producer { epoch: current.epoch + 1, ..current }, last_epoch))
    }
}
