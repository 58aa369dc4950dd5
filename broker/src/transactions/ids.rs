//! All transactional ids: each behind a lock of its own, and the writes by which it gets on.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::TransactionalId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tracing::warn;

use super::checks::Checks;
use super::coordinator::{Surroundings, TransactionConfig};
use super::init::{Init, Initialized};
use super::markers::Marker;
use super::transaction::{Producer, State, Transaction};
use crate::detach;

/// What the coordinator's requests and its timer share.
pub(super) struct Ids {
    pub(super) config: TransactionConfig,
    pub(super) around: Surroundings,
    slots: RwLock<HashMap<TransactionalId, Arc<Slot>>>,
    pub(super) checks: Mutex<Checks>,
    /// Signalled when the timer has to sleep for less than it does.
    pub(super) nearer_check: Notify,
}

/// A transactional id. Empty until its first record is written.
pub(super) type Slot = Mutex<Option<Transaction>>;

impl Ids {
    pub(super) fn new(
        config: TransactionConfig,
        around: Surroundings,
        loaded: HashMap<TransactionalId, Transaction>,
    ) -> Ids {
        let slots = loaded.into_iter().map(|(id, transaction)| (id, Arc::new(Mutex::new(Some(transaction)))));
        let slots = RwLock::new(slots.collect());
        Ids { config, around, slots, checks: Mutex::default(), nearer_check: Notify::new() }
    }

    pub(super) fn find_or_create(&self, id: &TransactionalId) -> Arc<Slot> {
        if let Some(slot) = self.slots.read().get(id) {
            return Arc::clone(slot);
        }
        let kept = TransactionalId(detach::text(id));
        Arc::clone(self.slots.write().entry(kept).or_default())
    }

    /// Runs `act` on an id that is known; INVALID_REQUEST without an id, else INVALID_PRODUCER_ID_MAPPING.
    pub(super) fn with<R>(
        &self,
        id: &TransactionalId,
        act: impl FnOnce(&mut Transaction) -> Result<R, ErrorCode>,
    ) -> Result<R, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let slot = self.slots.read().get(id).cloned().ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let mut transaction = slot.lock();
        act(transaction.as_mut().ok_or(ErrorCode::InvalidProducerIdMapping)?)
    }

    pub(super) fn init(
        &self,
        id: &TransactionalId,
        slot: &mut Option<Transaction>,
        init: Init,
    ) -> Result<Producer, ErrorCode> {
        let now_ms = self.around.clock.now_ms();
        let new_id = &self.around.new_producer_id;
        let Some(transaction) = slot else {
            let first = Transaction::new(new_id()?, init.timeout_ms, now_ms);
            self.append(id, &first)?;
            let producer = first.producer;
            *slot = Some(first);
            self.expect_expiry();
            return Ok(producer);
        };
        let mut initialized = transaction.init(init, new_id, now_ms)?;
        if let Initialized::Fenced(prepared) = initialized {
            self.write(id, transaction, prepared)?;
            self.finish(id, transaction);
            initialized = transaction.init(init, new_id, now_ms)?;
        }
        match initialized {
            Initialized::Ready(next) => self.write(id, transaction, next)?,
            Initialized::Fenced(_) => return Err(ErrorCode::ConcurrentTransactions),
        }
        Ok(transaction.producer)
    }

    /// Writes what follows, and then lets it take effect.
    pub(super) fn write(
        &self,
        id: &TransactionalId,
        transaction: &mut Transaction,
        next: Transaction,
    ) -> Result<(), ErrorCode> {
        self.append(id, &next)?;
        *transaction = next;
        if transaction.is_unfinished() {
            self.expect_unfinished();
        }
        Ok(())
    }

    fn append(&self, id: &TransactionalId, next: &Transaction) -> Result<(), ErrorCode> {
        let appended = self.around.log.append(id, Some(next), self.around.clock.now_ms());
        appended.map_err(|error| {
            warn!(transactional_id = id.as_str(), %error, "a transaction's state was not written");
            error.code()
        })
    }

    /// Writes the markers of a transaction that is decided, and completes it. What fails is left to the timer.
    pub(super) fn finish(&self, id: &TransactionalId, transaction: &mut Transaction) {
        let now_ms = self.around.clock.now_ms();
        let State::Prepare { outcome, partitions, .. } = &mut transaction.state else { return };
        let marker = Marker {
            producer: transaction.producer,
            outcome: *outcome,
            coordinator_epoch: self.around.log.coordinator_epoch(id),
            client_version: transaction.client_version,
        };
        let left = self.around.markers.write(marker, partitions, now_ms);
        let is_ended = left.is_empty();
        *partitions = left;
        if is_ended && let Some(complete) = transaction.complete(now_ms) {
            // An error has been logged, and leaves the transaction as it is.
            let _ = self.write(id, transaction, complete);
        }
    }

    /// Removes an id that nobody is about to use.
    pub(super) fn remove_if(&self, id: &TransactionalId, is_over: impl FnOnce(&Option<Transaction>) -> bool) {
        let mut slots = self.slots.write();
        // Whoever has taken a slot before holds it, and no other can be taken meanwhile.
        let is_free = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1 && is_over(&slot.lock());
        if slots.get(id).is_some_and(is_free) {
            slots.remove(id);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<(TransactionalId, Arc<Slot>)> {
        self.slots.read().iter().map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.read().is_empty()
    }
}
