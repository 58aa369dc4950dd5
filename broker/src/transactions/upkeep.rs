//! What no request asks for: transactions that are overdue, and ids that nobody uses any more.

use std::sync::Arc;

use ottla_protocol::messages::TransactionalId;
use tracing::{info, warn};

use super::ids::Ids;
use super::transaction::Transaction;

/// Sleeps until the next look is due, or until a nearer one is. Idle while there is nothing to look for.
pub(super) async fn run_timer(ids: Arc<Ids>) {
    loop {
        let next_ms = ids.checks.lock().next_ms();
        let sleep = async {
            match next_ms {
                Some(next_ms) => ids.around.clock.sleep_until(next_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => ids.look(),
            () = ids.nearer_check.notified() => {}
        }
    }
}

impl Ids {
    /// What an earlier run has decided is ended; what it has left open gets its time.
    pub(super) fn take_up(&self) {
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
                    transaction.as_ref().is_some_and(is_expired) && self.append_tombstone(&id, now_ms)
                });
            }
        }
        if !self.is_empty() {
            self.expect_expiry();
        }
    }

    fn append_tombstone(&self, id: &TransactionalId, now_ms: i64) -> bool {
        let appended = self.around.log.append(id, None, now_ms);
        let appended = appended.inspect_err(|error| {
            warn!(transactional_id = id.as_str(), %error, "an expired transactional id is kept");
        });
        appended.is_ok()
    }

    pub(super) fn expect_unfinished(&self) {
        let at_ms = self.around.clock.monotonic_ms().saturating_add(self.config.abort_check_interval_ms);
        if self.checks.lock().expect_unfinished(at_ms) {
            self.nearer_check.notify_one();
        }
    }

    pub(super) fn expect_expiry(&self) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use ottla_protocol::messages::TopicName;
    use ottla_protocol::{ErrorCode, StrBytes};
    use ottla_storage::AppendError;
    use parking_lot::Mutex;

    use super::*;
    use crate::clock::Clock;
    use crate::internal_topic::LoadError;
    use crate::transactions::coordinator::{Surroundings, TransactionConfig, TransactionCoordinator};
    use crate::transactions::end::End;
    use crate::transactions::init::Init;
    use crate::transactions::markers::{Marker, Markers};
    use crate::transactions::partition_set::PartitionSet;
    use crate::transactions::state_log::{AppendStateError, StateLog};
    use crate::transactions::transaction::{ClientVersion, Outcome, Producer};

    const TIMEOUT_MS: i32 = 60_000;
    const CHECK_MS: u64 = 10_000;
    const HOUR_MS: u64 = 3_600_000;

    /// The places that the coordinator writes to: in memory, and broken on request.
    #[derive(Clone, Default)]
    struct Places(Arc<Mutex<Inner>>);

    #[derive(Default)]
    struct Inner {
        records: Vec<(TransactionalId, Option<Transaction>)>,
        markers: Vec<(Marker, i32)>,
        /// Records that are still taken.
        room: Option<usize>,
        broken_partitions: BTreeSet<i32>,
    }

    impl StateLog for Places {
        fn append(
            &self,
            id: &TransactionalId,
            transaction: Option<&Transaction>,
            _: i64,
        ) -> Result<(), AppendStateError> {
            let mut inner = self.0.lock();
            if inner.room == Some(0) {
                let source = AppendError::DiskFull { dir: "log".into() };
                return Err(AppendStateError::Append { partition: 0, source });
            }
            inner.room = inner.room.map(|room| room - 1);
            inner.records.push((id.clone(), transaction.cloned()));
            Ok(())
        }

        fn coordinator_epoch(&self, _: &TransactionalId) -> i32 {
            3
        }

        fn replay(
            &self,
            load: &mut dyn FnMut(TransactionalId, Option<Transaction>),
        ) -> Result<(), LoadError> {
            let records = self.0.lock().records.clone();
            records.into_iter().for_each(|(id, transaction)| load(id, transaction));
            Ok(())
        }
    }

    impl Markers for Places {
        fn write(&self, marker: Marker, partitions: &PartitionSet, _: i64) -> PartitionSet {
            let mut inner = self.0.lock();
            let (left, written): (Vec<_>, Vec<_>) =
                partitions.iter().partition(|(_, partition)| inner.broken_partitions.contains(partition));
            inner.markers.extend(written.into_iter().map(|(_, partition)| (marker, partition)));
            left.into_iter().map(|(topic, partition)| (topic.clone(), partition)).collect()
        }
    }

    impl Places {
        fn start(&self, clock: &Clock) -> TransactionCoordinator {
            let next_id = AtomicI64::new(1_000);
            let config = TransactionConfig {
                max_timeout_ms: 900_000,
                id_expiration_ms: 24 * HOUR_MS as i64,
                abort_check_interval_ms: CHECK_MS as i64,
                expiry_check_interval_ms: HOUR_MS as i64,
            };
            let around = Surroundings {
                clock: clock.clone(),
                log: Box::new(self.clone()),
                markers: Box::new(self.clone()),
                new_producer_id: Box::new(move || Ok(next_id.fetch_add(1, Ordering::Relaxed))),
            };
            TransactionCoordinator::start(config, around).unwrap()
        }

        fn marked(&self) -> Vec<(Outcome, i32)> {
            self.0.lock().markers.iter().map(|(marker, partition)| (marker.outcome, *partition)).collect()
        }
    }

    fn id() -> TransactionalId {
        TransactionalId(StrBytes::from_static_str("tx"))
    }

    fn state(coordinator: &TransactionCoordinator) -> Option<&'static str> {
        coordinator.describe(&id()).map(|transaction| transaction.state_name())
    }

    fn init(coordinator: &TransactionCoordinator) -> Result<Producer, ErrorCode> {
        coordinator.init(&id(), Init { timeout_ms: TIMEOUT_MS, expected: None })
    }

    /// A transaction in partitions 0 and 1.
    fn begin(coordinator: &TransactionCoordinator) -> Producer {
        let producer = init(coordinator).unwrap();
        let topic = TopicName(StrBytes::from_static_str("t"));
        let added = [0, 1].into_iter().map(|partition| (topic.clone(), partition)).collect();
        coordinator.add_partitions(&id(), producer, added, ClientVersion::V2).unwrap();
        producer
    }

    fn commit(coordinator: &TransactionCoordinator, producer: Producer) -> Result<Producer, ErrorCode> {
        let end = End { producer, outcome: Outcome::Commit, client_version: ClientVersion::V2 };
        coordinator.end(&id(), end)
    }

    /// Lets time pass, and the timer look.
    async fn advance(clock: &Clock, ms: u64) {
        clock.advance(Duration::from_millis(ms));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_transaction_that_times_out_is_aborted_and_its_producer_fenced() {
        let (places, clock) = (Places::default(), Clock::manual(1_000));
        let coordinator = places.start(&clock);
        let producer = begin(&coordinator);
        advance(&clock, TIMEOUT_MS as u64).await;
        assert_eq!(state(&coordinator), Some("Ongoing"));
        advance(&clock, CHECK_MS).await;
        assert_eq!(state(&coordinator), Some("CompleteAbort"));
        assert_eq!(places.marked(), [(Outcome::Abort, 0), (Outcome::Abort, 1)]);
        assert_eq!(commit(&coordinator, producer), Err(ErrorCode::InvalidTxnState));
    }

    #[tokio::test]
    async fn a_marker_that_cannot_be_written_is_tried_again_and_the_answer_does_not_wait() {
        let (places, clock) = (Places::default(), Clock::manual(1_000));
        let coordinator = places.start(&clock);
        let producer = begin(&coordinator);
        places.0.lock().broken_partitions.insert(0);
        let next = commit(&coordinator, producer).unwrap();
        assert_eq!((next.epoch, state(&coordinator)), (1, Some("PrepareCommit")));
        assert_eq!(places.marked(), [(Outcome::Commit, 1)]);
        assert_eq!(init(&coordinator), Err(ErrorCode::ConcurrentTransactions));
        advance(&clock, CHECK_MS).await;
        assert_eq!(state(&coordinator), Some("PrepareCommit"));
        places.0.lock().broken_partitions.clear();
        advance(&clock, CHECK_MS).await;
        assert_eq!(state(&coordinator), Some("CompleteCommit"));
        assert_eq!(places.marked(), [(Outcome::Commit, 1), (Outcome::Commit, 0)]);
    }

    #[tokio::test]
    async fn what_is_decided_is_finished_by_the_next_start_and_what_is_open_times_out() {
        let (places, clock) = (Places::default(), Clock::manual(1_000));
        let coordinator = places.start(&clock);
        let producer = begin(&coordinator);
        places.0.lock().broken_partitions.extend([0, 1]);
        commit(&coordinator, producer).unwrap();
        drop(coordinator);
        places.0.lock().broken_partitions.clear();
        let coordinator = places.start(&clock);
        assert_eq!(state(&coordinator), Some("CompleteCommit"));
        assert_eq!(places.marked(), [(Outcome::Commit, 0), (Outcome::Commit, 1)]);

        begin(&coordinator);
        drop(coordinator);
        let coordinator = places.start(&clock);
        advance(&clock, TIMEOUT_MS as u64 + CHECK_MS).await;
        assert_eq!(state(&coordinator), Some("CompleteAbort"));
    }

    #[tokio::test]
    async fn what_the_log_does_not_take_does_not_take_effect() {
        let (places, clock) = (Places::default(), Clock::manual(1_000));
        let coordinator = places.start(&clock);
        places.0.lock().room = Some(0);
        assert_eq!(init(&coordinator), Err(ErrorCode::NotCoordinator));
        assert_eq!(state(&coordinator), None);
        places.0.lock().room = None;
        let producer = begin(&coordinator);
        places.0.lock().room = Some(0);
        assert_eq!(commit(&coordinator, producer), Err(ErrorCode::NotCoordinator));
        assert_eq!((state(&coordinator), places.marked()), (Some("Ongoing"), vec![]));
        // The decision has a place, its completion has not.
        places.0.lock().room = Some(1);
        assert!(commit(&coordinator, producer).is_ok());
        assert_eq!(state(&coordinator), Some("PrepareCommit"));
        places.0.lock().room = None;
        advance(&clock, CHECK_MS).await;
        assert_eq!(state(&coordinator), Some("CompleteCommit"));
        assert_eq!(places.marked().len(), 2);
    }

    #[tokio::test]
    async fn an_id_that_nobody_uses_is_forgotten_and_the_timer_then_sleeps() {
        let (places, clock) = (Places::default(), Clock::manual(1_000));
        let coordinator = places.start(&clock);
        init(&coordinator).unwrap();
        advance(&clock, 23 * HOUR_MS).await;
        assert_eq!(state(&coordinator), Some("Empty"));
        advance(&clock, HOUR_MS).await;
        advance(&clock, HOUR_MS).await;
        assert_eq!(state(&coordinator), None);
        assert_eq!(places.0.lock().records.last(), Some(&(id(), None)));
        assert_eq!(state(&places.start(&clock)), None);
    }
}
