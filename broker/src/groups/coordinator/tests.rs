use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_storage::AppendError;

use super::*;
use crate::groups::MemberId;
use crate::groups::driver::{SESSION_TIMEOUT_MS, config, group_id, join_request};

/// Keeps records in memory, or refuses them.
#[derive(Clone, Default)]
struct MemoryLog {
    events: Arc<Mutex<Vec<LogEvent>>>,
    is_full: Arc<AtomicBool>,
}

impl OffsetsLog for MemoryLog {
    fn append(
        &self,
        records: &[CoordinatorRecord],
        transaction: Option<&OpenTransaction>,
        _: i64,
    ) -> Result<Vec<Written>, AppendGroupsError> {
        if self.is_full.load(Ordering::SeqCst) {
            let source = AppendError::DiskFull { dir: "log".into() };
            return Err(AppendGroupsError::Append { partition: 0, source });
        }
        let mut events = self.events.lock();
        let producer_id = transaction.map(|transaction| transaction.producer.id);
        let mut written = Vec::new();
        for record in records {
            let at = Written { log_partition: 0, log_offset: events.len() as i64, producer_id };
            events.push(LogEvent::Record(record.clone(), at));
            written.push(at);
        }
        Ok(written)
    }

    fn append_marker(
        &self,
        log_partition: i32,
        marker: &TransactionMarker,
        _: i64,
    ) -> Result<(), MarkerError> {
        let (producer_id, outcome) = (marker.producer_id, marker.outcome);
        self.events.lock().push(LogEvent::EndOfTransaction { log_partition, producer_id, outcome });
        Ok(())
    }

    fn replay(&self, load: &mut dyn FnMut(LogEvent)) -> Result<(), LoadError> {
        self.events.lock().iter().cloned().for_each(load);
        Ok(())
    }
}

fn start(log: &MemoryLog, clock: &Clock) -> GroupCoordinator {
    GroupCoordinator::start(config(), clock.clone(), Box::new(log.clone())).unwrap()
}

fn join(member_id: MemberId) -> impl FnOnce(Ticket) -> Join {
    move |ticket| Join {
        ticket,
        request: join_request(&member_id),
        client_id: "client".to_owned().into(),
        client_host: "/127.0.0.1".to_owned().into(),
        fresh_member_id: format!("client-{}", ticket.0).into(),
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    }
}

fn sync(member_id: &MemberId, generation_id: i32) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(group_id())
        .with_member_id(member_id.clone())
        .with_generation_id(generation_id)
}

#[tokio::test]
async fn the_timer_ends_sessions_when_their_time_has_come() {
    let (log, clock) = (MemoryLog::default(), Clock::manual(1_000));
    let coordinator = start(&log, &clock);
    let first = coordinator.join(join(MemberId::default())).await.member_id;
    coordinator.sync(sync(&first, 1)).await;
    let waiting = coordinator.begin_join(join(MemberId::default()));
    // Nobody else can end this wait: the first member is silent.
    clock.advance(Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into()));
    let joined = waiting.await.unwrap();
    assert_eq!((joined.error_code, joined.generation_id, joined.leader), (0, 2, joined.member_id));
}

#[tokio::test]
async fn an_assignment_that_cannot_be_written_is_not_handed_out_and_can_be_brought_again() {
    let (log, clock) = (MemoryLog::default(), Clock::manual(1_000));
    let coordinator = start(&log, &clock);
    let member_id = coordinator.join(join(MemberId::default())).await.member_id;
    log.is_full.store(true, Ordering::SeqCst);
    let refused = coordinator.sync(sync(&member_id, 1)).await;
    assert_eq!(refused.error_code, ErrorCode::NotCoordinator.code());
    log.is_full.store(false, Ordering::SeqCst);
    assert_eq!(coordinator.sync(sync(&member_id, 1)).await.error_code, 0);
}

#[tokio::test]
async fn a_group_that_cannot_be_written_does_not_come_to_be() {
    let (log, clock) = (MemoryLog::default(), Clock::manual(1_000));
    let coordinator = start(&log, &clock);
    log.is_full.store(true, Ordering::SeqCst);
    let refused = coordinator.join(join(MemberId::default())).await;
    assert_eq!(refused.error_code, ErrorCode::NotCoordinator.code());
    assert!(coordinator.list().is_empty());
}

#[tokio::test]
async fn a_group_goes_on_after_a_restart() {
    let (log, clock) = (MemoryLog::default(), Clock::manual(1_000));
    let coordinator = start(&log, &clock);
    let member_id = coordinator.join(join(MemberId::default())).await.member_id;
    coordinator.sync(sync(&member_id, 1)).await;
    drop(coordinator);

    let coordinator = start(&log, &clock);
    let heartbeat =
        HeartbeatRequest::default().with_group_id(group_id()).with_generation_id(1).with_member_id(member_id);
    assert_eq!(coordinator.heartbeat(&heartbeat), Ok(()));
}

#[tokio::test]
async fn requests_that_wait_are_answered_when_the_coordinator_goes() {
    let (log, clock) = (MemoryLog::default(), Clock::manual(1_000));
    let coordinator = start(&log, &clock);
    let first = coordinator.join(join(MemberId::default())).await.member_id;
    coordinator.sync(sync(&first, 1)).await;
    let waiting = coordinator.begin_join(join(MemberId::default()));
    drop(coordinator);
    assert!(waiting.await.is_err());
}
