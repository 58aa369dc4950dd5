//! The transaction coordinator: each transactional id behind a lock of its own, with their log, their markers and one
//! timer.
//!
//! An id is locked from the decision until its markers are written, which on one node is a few copies into mapped
//! memory; other ids do not wait for it. What cannot be written now, the timer tries again.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::TransactionalId;
use tokio::task::JoinHandle;
use tracing::info;

use super::end::{End, Ended};
use super::ids::Ids;
use super::init::Init;
use super::markers::Markers;
use super::partition_set::PartitionSet;
use super::state_log::StateLog;
use super::transaction::{ClientVersion, Producer, Transaction};
use super::upkeep::run_timer;
use crate::clock::Clock;
use crate::config::BrokerSettings;
use crate::internal_topic::LoadError;

/// The longest id that a record's key can hold.
const ID_BYTES_MAX: usize = i16::MAX as usize;

/// Gives producer ids that nobody else has.
pub(crate) type NewProducerId = Box<dyn Fn() -> Result<i64, ErrorCode> + Send + Sync>;

/// Serves all transactional ids of the broker. Dropping it ends its timer.
pub(crate) struct TransactionCoordinator {
    ids: Arc<Ids>,
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

impl TransactionCoordinator {
    /// Loads what is in the log, ends what was decided, and starts the timer; within a Tokio runtime.
    pub(crate) fn start(
        config: TransactionConfig,
        around: Surroundings,
    ) -> Result<TransactionCoordinator, LoadError> {
        let mut loaded = HashMap::new();
        around.log.replay(&mut |id, transaction| {
            match transaction {
                Some(transaction) => loaded.insert(id, transaction),
                None => loaded.remove(&id),
            };
        })?;
        if !loaded.is_empty() {
            info!(transactional_ids = loaded.len(), "loaded transactions");
        }
        let ids = Arc::new(Ids::new(config, around, loaded));
        ids.take_up();
        let timer = tokio::spawn(run_timer(Arc::clone(&ids)));
        Ok(TransactionCoordinator { ids, timer })
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
        if !(1..=self.ids.config.max_timeout_ms).contains(&init.timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let slot = self.ids.find_or_create(id);
        let given = self.ids.init(id, &mut slot.lock(), init);
        drop(slot);
        if given.is_err() {
            self.ids.remove_if(id, Option::is_none);
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
        self.ids.with(id, |transaction| {
            let now_ms = self.ids.around.clock.now_ms();
            match transaction.add_partitions(producer, added, client_version, now_ms)? {
                Some(next) => self.ids.write(id, transaction, next),
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
        self.ids.with(id, |transaction| transaction.verify(producer).map(look))
    }

    /// Ends a transaction. Its decision is in the log when this returns, and its markers in the partitions, but for
    /// those that cannot be written now. Answers who the producer is from here on.
    ///
    /// # Errors
    /// Those of [`Transaction::end`], and those of the log.
    pub(crate) fn end(&self, id: &TransactionalId, end: End) -> Result<Producer, ErrorCode> {
        self.ids.with(id, |transaction| {
            let now_ms = self.ids.around.clock.now_ms();
            match transaction.end(end, &self.ids.around.new_producer_id, now_ms)? {
                Ended::Before => Ok(transaction.producer),
                Ended::Now(prepared) => {
                    self.ids.write(id, transaction, prepared)?;
                    let next =
                        transaction.complete(now_ms).map_or(transaction.producer, |next| next.producer);
                    self.ids.finish(id, transaction);
                    Ok(next)
                }
            }
        })
    }

    /// Where a transactional id stands; `None` if there is no such id.
    pub(crate) fn describe(&self, id: &TransactionalId) -> Option<Transaction> {
        self.ids.with(id, |transaction| Ok(transaction.clone())).ok()
    }

    /// Lets `look` see every transactional id, in no order.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&TransactionalId, &Transaction)) {
        for (id, slot) in self.ids.snapshot() {
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
