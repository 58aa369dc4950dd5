//! The transaction coordinator: each transactional id behind a lock of its own, with their log, their markers and one
//! timer.
//!
//! An id is locked from the decision until its markers are written, which on one node is a few copies into mapped
//! memory; other ids do not wait for it. What cannot be written now, the timer tries again.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::TransactionalId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::checks::Checks;
use super::end::{End, Ended};
use super::init::{Init, Initialized};
use super::markers::{Marker, Markers};
use super::partition_set::PartitionSet;
use super::state_log::StateLog;
use super::transaction::{ClientVersion, Producer, State, Transaction};
use crate::clock::Clock;
use crate::config::BrokerSettings;
use crate::detach;
use crate::internal_topic::LoadError;

/// The longest id that a record's key can hold.
const ID_BYTES_MAX: usize = i16::MAX as usize;

/// Gives producer ids that nobody else has.
pub(crate) type NewProducerId = Box<dyn Fn() -> Result<i64, ErrorCode> + Send + Sync>;

/// Serves all transactional ids of the broker. Dropping it ends its timer.
pub(crate) struct TransactionCoordinator {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
}

/// What the coordinator works with.
pub(crate) struct Surroundings {
    pub(crate) clock: Clock,
    pub(crate) log: Box<dyn StateLog>,
    pub(crate) markers: Box<dyn Markers>,
    pub(crate) new_producer_id: NewProducerId,
}

/// The settings that transactions depend on; names are Kafka's, `transaction.…`.
#[derive(Debug, Clone)]
pub(crate) struct TransactionConfig {
    pub(crate) max_timeout_ms: i32,
    pub(crate) id_expiration_ms: i64,
    pub(crate) abort_check_interval_ms: i64,
    pub(crate) expiry_check_interval_ms: i64,
}

struct Shared {
    config: TransactionConfig,
    around: Surroundings,
    ids: RwLock<HashMap<TransactionalId, Arc<Slot>>>,
    checks: Mutex<Checks>,
    /// Signalled when the timer has to sleep for less than it does.
    nearer_check: Notify,
}

/// A transactional id. Empty until its first record is written.
type Slot = Mutex<Option<Transaction>>;

impl TransactionCoordinator {
    /// Loads what is in the log, ends what was decided, and starts the timer; within a Tokio runtime.
    pub(crate) fn start(
        config: TransactionConfig,
        around: Surroundings,
    ) -> Result<TransactionCoordinator, LoadError> {
        let mut ids = HashMap::new();
        around.log.replay(&mut |id, transaction| {
            match transaction {
                Some(transaction) => ids.insert(id, transaction),
                None => ids.remove(&id),
            };
        })?;
        if !ids.is_empty() {
            info!(transactional_ids = ids.len(), "loaded transactions");
        }
        let slots = ids.into_iter().map(|(id, transaction)| (id, Arc::new(Mutex::new(Some(transaction)))));
        let shared = Arc::new(Shared {
            config,
            ids: RwLock::new(slots.collect()),
            around,
            checks: Mutex::default(),
            nearer_check: Notify::new(),
        });
        shared.take_up();
        let timer = tokio::spawn(run_timer(Arc::clone(&shared)));
        Ok(TransactionCoordinator { shared, timer })
    }

    /// Gives a producer its id and epoch; whoever used the transactional id before is fenced, and what it left open is
    /// aborted.
    ///
    /// # Errors
    /// INVALID_REQUEST without an id, INVALID_TRANSACTION_TIMEOUT, those of [`Transaction::init`], and those of the log.
    pub(crate) fn init(&self, id: &TransactionalId, init: Init) -> Result<Producer, ErrorCode> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        if !(1..=self.shared.config.max_timeout_ms).contains(&init.timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let slot = self.shared.find_or_create(id);
        let given = self.shared.init(id, &mut slot.lock(), init);
        drop(slot);
        if given.is_err() {
            self.shared.remove_if(id, Option::is_none);
        }
        given
    }

    /// Adds partitions to a transaction, which begins with the first.
    ///
    /// # Errors
    /// Those of [`Transaction::add_partitions`], and those of the log.
    pub(crate) fn add_partitions(
        &self,
        id: &TransactionalId,
        producer: Producer,
        added: PartitionSet,
        client_version: ClientVersion,
    ) -> Result<(), ErrorCode> {
        self.shared.with(id, |transaction| {
            let now_ms = self.shared.around.clock.now_ms();
            match transaction.add_partitions(producer, added, client_version, now_ms)? {
                Some(next) => self.shared.write(id, transaction, next),
                None => Ok(()),
            }
        })
    }

    /// Lets `look` see the partitions of the producer's transaction, if one is open.
    ///
    /// # Errors
    /// Those of [`Transaction::verify`].
    pub(crate) fn verify<R>(
        &self,
        id: &TransactionalId,
        producer: Producer,
        look: impl FnOnce(Option<&PartitionSet>) -> R,
    ) -> Result<R, ErrorCode> {
        self.shared.with(id, |transaction| transaction.verify(producer).map(look))
    }

    /// Ends a transaction. Its decision is in the log when this returns, and its markers in the partitions, but for
    /// those that cannot be written now. Answers who the producer is from here on.
    ///
    /// # Errors
    /// Those of [`Transaction::end`], and those of the log.
    pub(crate) fn end(&self, id: &TransactionalId, end: End) -> Result<Producer, ErrorCode> {
        self.shared.with(id, |transaction| {
            let now_ms = self.shared.around.clock.now_ms();
            match transaction.end(end, &self.shared.around.new_producer_id, now_ms)? {
                Ended::Before => Ok(transaction.producer),
                Ended::Now(prepared) => {
                    self.shared.write(id, transaction, prepared)?;
                    let next =
                        transaction.complete(now_ms).map_or(transaction.producer, |next| next.producer);
                    self.shared.finish(id, transaction);
                    Ok(next)
                }
            }
        })
    }

    /// Where a transactional id stands; `None` if there is no such id.
    pub(crate) fn describe(&self, id: &TransactionalId) -> Option<Transaction> {
        self.shared.with(id, |transaction| Ok(transaction.clone())).ok()
    }

    /// Lets `look` see every transactional id, in no order.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&TransactionalId, &Transaction)) {
        for (id, slot) in self.shared.snapshot() {
            if let Some(transaction) = &*slot.lock() {
                look(&id, transaction);
            }
        }
    }
}

impl Drop for TransactionCoordinator {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Shared {
    fn find_or_create(&self, id: &TransactionalId) -> Arc<Slot> {
        if let Some(slot) = self.ids.read().get(id) {
            return Arc::clone(slot);
        }
        let kept = TransactionalId(detach::text(id));
        Arc::clone(self.ids.write().entry(kept).or_default())
    }

    /// Runs `act` on an id that is known; INVALID_REQUEST without an id, else INVALID_PRODUCER_ID_MAPPING.
    fn with<R>(
        &self,
        id: &TransactionalId,
        act: impl FnOnce(&mut Transaction) -> Result<R, ErrorCode>,
    ) -> Result<R, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let slot = self.ids.read().get(id).cloned().ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let mut transaction = slot.lock();
        act(transaction.as_mut().ok_or(ErrorCode::InvalidProducerIdMapping)?)
    }

    fn init(
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
    fn write(
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
    fn finish(&self, id: &TransactionalId, transaction: &mut Transaction) {
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

    /// What an earlier run has decided is ended; what it has left open gets its time.
    fn take_up(&self) {
        for (id, slot) in self.snapshot() {
            self.expect_expiry();
            if let Some(transaction) = &mut *slot.lock()
                && transaction.is_unfinished()
            {
                self.expect_unfinished();
                self.finish(&id, transaction);
            }
        }
    }

    /// Aborts what has been open for too long, and ends what could not be ended before.
    fn end_overdue(&self) {
        for (id, slot) in self.snapshot() {
            let mut slot = slot.lock();
            let Some(transaction) = &mut *slot else { continue };
            let now_ms = self.around.clock.now_ms();
            if transaction.is_timed_out(now_ms) {
                let fenced = transaction.fence(&self.around.new_producer_id, now_ms);
                match fenced.and_then(|prepared| self.write(&id, transaction, prepared)) {
                    Ok(()) => info!(transactional_id = id.as_str(), "a transaction has timed out"),
                    Err(error) => {
                        warn!(transactional_id = id.as_str(), ?error, "a timed-out transaction stays open");
                    }
                }
            }
            self.finish(&id, transaction);
            if transaction.is_unfinished() {
                self.expect_unfinished();
            }
        }
    }

    /// Forgets ids that nobody uses.
    fn expire_ids(&self) {
        let now_ms = self.around.clock.now_ms();
        let expiration_ms = self.config.id_expiration_ms;
        for (id, slot) in self.snapshot() {
            let is_expired = |transaction: &Transaction| transaction.is_expired(now_ms, expiration_ms);
            let looks_expired = slot.lock().as_ref().is_some_and(is_expired);
            drop(slot);
            if looks_expired {
                self.remove_if(&id, |transaction| {
                    transaction.as_ref().is_some_and(is_expired)
                        && self
                            .around
                            .log
                            .append(&id, None, now_ms)
                            .inspect_err(|error| {
                                warn!(transactional_id = id.as_str(), %error, "an expired id is kept");
                            })
                            .is_ok()
                });
            }
        }
        if !self.ids.read().is_empty() {
            self.expect_expiry();
        }
    }

    /// Removes an id that nobody is about to use.
    fn remove_if(&self, id: &TransactionalId, is_over: impl FnOnce(&Option<Transaction>) -> bool) {
        let mut ids = self.ids.write();
        // Whoever has taken a slot before holds it, and no other can be taken meanwhile.
        let is_free = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1 && is_over(&slot.lock());
        if ids.get(id).is_some_and(is_free) {
            ids.remove(id);
        }
    }

    fn snapshot(&self) -> Vec<(TransactionalId, Arc<Slot>)> {
        self.ids.read().iter().map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect()
    }

    fn expect_unfinished(&self) {
        let at_ms = self.around.clock.monotonic_ms().saturating_add(self.config.abort_check_interval_ms);
        if self.checks.lock().expect_unfinished(at_ms) {
            self.nearer_check.notify_one();
        }
    }

    fn expect_expiry(&self) {
        let at_ms = self.around.clock.monotonic_ms().saturating_add(self.config.expiry_check_interval_ms);
        if self.checks.lock().expect_expiry(at_ms) {
            self.nearer_check.notify_one();
        }
    }

    fn look(&self) {
        let due = self.checks.lock().take_due(self.around.clock.monotonic_ms());
        if due.unfinished {
            self.end_overdue();
        }
        if due.expiry {
            self.expire_ids();
        }
    }
}

/// Sleeps until the next look is due, or until a nearer one is. Idle while there is nothing to look for.
async fn run_timer(shared: Arc<Shared>) {
    loop {
        let next_ms = shared.checks.lock().next_ms();
        let sleep = async {
            match next_ms {
                Some(next_ms) => shared.around.clock.sleep_until(next_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => shared.look(),
            () = shared.nearer_check.notified() => {}
        }
    }
}

impl From<&BrokerSettings> for TransactionConfig {
    fn from(settings: &BrokerSettings) -> TransactionConfig {
        TransactionConfig {
            max_timeout_ms: settings.transaction_max_timeout_ms,
            id_expiration_ms: i64::from(settings.transactional_id_expiration_ms),
            abort_check_interval_ms: i64::from(
                settings.transaction_abort_timed_out_transaction_cleanup_interval_ms,
            ),
            expiry_check_interval_ms: i64::from(
                settings.transaction_remove_expired_transaction_cleanup_interval_ms,
            ),
        }
    }
}
