//! The group coordinator: the pure state behind one lock, with its log, its timer and the requests that wait.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla_protocol::messages::offset_fetch_response::OffsetFetchResponseTopics;
use ottla_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupResponse, OffsetCommitRequest, OffsetCommitResponse,
    SyncGroupRequest, SyncGroupResponse, TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use ottla_storage::{MarkerError, TransactionMarker};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::classic::Join;
use super::offsets_log::{AppendGroupsError, LogEvent, OffsetsLog, OpenTransaction};
use super::record::{CoordinatorRecord, Written};
use super::state::Groups;
use super::turn::{Answer, Effects, GroupConfig, Now, Ticket};
use crate::clock::Clock;
use crate::internal_topic::LoadError;

/// Serves all groups of the broker. Dropping it ends its timer; requests that wait are then answered with
/// COORDINATOR_NOT_AVAILABLE.
pub(crate) struct GroupCoordinator {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
}

struct Shared {
    clock: Clock,
    log: Box<dyn OffsetsLog>,
    inner: Mutex<Inner>,
    /// Signalled when a deadline comes before the one that the timer sleeps for.
    nearer_deadline: Notify,
}

struct Inner {
    groups: Groups,
    tickets: u64,
    joining: HashMap<Ticket, oneshot::Sender<JoinGroupResponse>>,
    syncing: HashMap<Ticket, oneshot::Sender<SyncGroupResponse>>,
    /// What the timer sleeps for; `None` while it waits for a deadline to appear.
    timer_ms: Option<i64>,
}

impl GroupCoordinator {
    /// Loads what is in `log` and starts the timer; within a Tokio runtime.
    pub(crate) fn start(
        config: GroupConfig,
        clock: Clock,
        log: Box<dyn OffsetsLog>,
    ) -> Result<GroupCoordinator, LoadError> {
        let mut groups = Groups::new(config);
        let now = now(&clock);
        let mut loaded = 0_u64;
        log.replay(&mut |event| {
            match event {
                LogEvent::Record(record, written) => groups.apply(record, written, now),
                LogEvent::EndOfTransaction { log_partition, producer_id, outcome } => {
                    groups.end_transaction(log_partition, producer_id, outcome, now);
                }
            }
            loaded += 1;
        })?;
        if loaded > 0 {
            info!(records = loaded, groups = groups.listed().count(), "loaded groups and offsets");
        }
        let inner =
            Inner { groups, tickets: 0, joining: HashMap::new(), syncing: HashMap::new(), timer_ms: None };
        let shared =
            Arc::new(Shared { clock, log, inner: Mutex::new(inner), nearer_deadline: Notify::new() });
        let timer = tokio::spawn(run_timer(Arc::clone(&shared)));
        Ok(GroupCoordinator { shared, timer })
    }

    /// Answers when the member's next generation begins, or with an error. `join` makes the event from its ticket.
    pub(crate) async fn join(&self, join: impl FnOnce(Ticket) -> Join) -> JoinGroupResponse {
        let answer = self.begin_join(join);
        answer.await.unwrap_or_else(|_| {
            JoinGroupResponse::default().with_error_code(ErrorCode::CoordinatorNotAvailable.code())
        })
    }

    fn begin_join(&self, join: impl FnOnce(Ticket) -> Join) -> oneshot::Receiver<JoinGroupResponse> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.shared.lock();
        let ticket = inner.ticket();
        inner.joining.insert(ticket, sender);
        let join = join(ticket);
        let (group_id, member_id) = (join.request.group_id.clone(), join.request.member_id.clone());
        let before = inner.groups.membership(&group_id).cloned();
        let effects = inner.groups.join(join, self.shared.now());
        if let Err(error) = self.shared.append(&effects.records, None) {
            inner.groups.restore_membership(&group_id, before);
            let refusal =
                JoinGroupResponse::default().with_member_id(member_id).with_error_code(error.code().code());
            inner.answer(vec![Answer::Join(ticket, refusal)]);
        } else {
            inner.answer(effects.answers);
        }
        self.shared.wake_timer(&inner);
        receiver
    }

    /// Answers when the leader has assigned, or with an error.
    pub(crate) async fn sync(&self, request: SyncGroupRequest) -> SyncGroupResponse {
        let answer = self.begin_sync(request);
        answer.await.unwrap_or_else(|_| {
            SyncGroupResponse::default().with_error_code(ErrorCode::CoordinatorNotAvailable.code())
        })
    }

    fn begin_sync(&self, request: SyncGroupRequest) -> oneshot::Receiver<SyncGroupResponse> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.shared.lock();
        let ticket = inner.ticket();
        inner.syncing.insert(ticket, sender);
        let group_id = request.group_id.clone();
        let before = inner.groups.membership(&group_id).cloned();
        let effects = inner.groups.sync(ticket, request, self.shared.now());
        if let Err(error) = self.shared.append(&effects.records, None) {
            // Everybody goes on waiting, and the leader tries again.
            inner.groups.restore_membership(&group_id, before);
            let refusal = SyncGroupResponse::default().with_error_code(error.code().code());
            inner.answer(vec![Answer::Sync(ticket, refusal)]);
        } else {
            inner.answer(effects.answers);
        }
        self.shared.wake_timer(&inner);
        receiver
    }

    pub(crate) fn heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.shared.lock().groups.heartbeat(request, self.shared.now())
    }

    pub(crate) fn leave(&self, group_id: &GroupId, members: Vec<MemberIdentity>) -> Vec<MemberResponse> {
        let mut inner = self.shared.lock();
        let (responses, effects) = inner.groups.leave(group_id, members, self.shared.now());
        self.shared.carry_out(&mut inner, effects);
        responses
    }

    /// `exists` tells the partitions that there are from those that there are not.
    ///
    /// # Errors
    /// When the commit is refused as a whole, or could not be written.
    pub(crate) fn commit_offsets(
        &self,
        request: &OffsetCommitRequest,
        exists: impl Fn(&TopicName, i32) -> bool,
    ) -> Result<OffsetCommitResponse, ErrorCode> {
        let mut inner = self.shared.lock();
        let (response, records) = inner.groups.commit_offsets(request, exists, self.shared.now())?;
        self.shared.append_and_apply(&mut inner, records, None)?;
        Ok(response)
    }

    /// As [`GroupCoordinator::commit_offsets`], as a part of a transaction: what is committed counts when that is.
    ///
    /// # Errors
    /// When the commit is refused as a whole, or could not be written.
    pub(crate) fn commit_offsets_in_transaction(
        &self,
        request: &TxnOffsetCommitRequest,
        transaction: &OpenTransaction,
        exists: impl Fn(&TopicName, i32) -> bool,
    ) -> Result<TxnOffsetCommitResponse, ErrorCode> {
        let mut inner = self.shared.lock();
        let now = self.shared.now();
        let (response, records) = inner.groups.commit_offsets_in_transaction(request, exists, now)?;
        self.shared.append_and_apply(&mut inner, records, Some(transaction))?;
        Ok(response)
    }

    /// Writes a transaction's marker into a partition of the offsets log, where the offsets that it commits now count.
    ///
    /// # Errors
    /// The transaction is still open there.
    pub(crate) fn end_transaction(
        &self,
        partition: i32,
        marker: &TransactionMarker,
    ) -> Result<(), MarkerError> {
        let mut inner = self.shared.lock();
        let now = self.shared.now();
        self.shared.log.append_marker(partition, marker, now.wall_ms)?;
        inner.groups.end_transaction(partition, marker.producer_id, marker.outcome, now);
        self.shared.wake_timer(&inner);
        Ok(())
    }

    pub(crate) fn fetch_offsets(
        &self,
        group_id: &GroupId,
        topics: Option<&[OffsetFetchRequestTopics]>,
        require_stable: bool,
    ) -> Vec<OffsetFetchResponseTopics> {
        self.shared.lock().groups.fetch_offsets(group_id, topics, require_stable)
    }

    /// Deletes the offsets of `partitions`; the outcome of each is in the same place.
    ///
    /// # Errors
    /// When the group does not let its offsets be deleted, or the deletion could not be written.
    pub(crate) fn delete_offsets(
        &self,
        group_id: &GroupId,
        partitions: &[(TopicName, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        let mut inner = self.shared.lock();
        inner.groups.check_offset_delete(group_id)?;
        let mut records = Vec::new();
        let mut outcomes = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let outcome = inner.groups.delete_offset(group_id, topic, *partition);
            outcomes.push(outcome.map(|record| records.extend(record)));
        }
        self.shared.append_and_apply(&mut inner, records, None)?;
        Ok(outcomes)
    }

    /// Deletes all groups' offsets of a topic.
    ///
    /// # Errors
    /// When the deletion could not be written.
    pub(crate) fn delete_topic_offsets(&self, topic: &TopicName) -> Result<(), ErrorCode> {
        let mut inner = self.shared.lock();
        let records = inner.groups.delete_topic_offsets(topic);
        if records.is_empty() { Ok(()) } else { self.shared.append_and_apply(&mut inner, records, None) }
    }

    pub(crate) fn delete_group(&self, group_id: &GroupId) -> Result<(), ErrorCode> {
        let mut inner = self.shared.lock();
        let records = inner.groups.delete_group(group_id)?;
        self.shared.append_and_apply(&mut inner, records, None)
    }

    /// `None` if there is no such group.
    pub(crate) fn describe(&self, group_id: &GroupId) -> Option<DescribedGroup> {
        self.shared.lock().groups.describe(group_id)
    }

    pub(crate) fn list(&self) -> Vec<ListedGroup> {
        self.shared.lock().groups.listed().collect()
    }

    pub(crate) fn is_session_timeout_allowed(&self, session_timeout_ms: i32) -> bool {
        let inner = self.shared.lock();
        let config = inner.groups.config();
        (config.min_session_timeout_ms..=config.max_session_timeout_ms).contains(&session_timeout_ms)
    }
}

impl Drop for GroupCoordinator {
    fn drop(&mut self) {
        self.timer.abort();
        let mut inner = self.shared.lock();
        inner.joining.clear();
        inner.syncing.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    fn now(&self) -> Now {
        now(&self.clock)
    }

    fn append(
        &self,
        records: &[CoordinatorRecord],
        transaction: Option<&OpenTransaction>,
    ) -> Result<Vec<Written>, AppendGroupsError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.log
            .append(records, transaction, self.clock.now_ms())
            .inspect_err(|error| warn!(%error, "group state was not written"))
    }

    fn append_and_apply(
        &self,
        inner: &mut Inner,
        records: Vec<CoordinatorRecord>,
        transaction: Option<&OpenTransaction>,
    ) -> Result<(), ErrorCode> {
        let written = self.append(&records, transaction).map_err(|error| error.code())?;
        let now = self.now();
        let written = records.into_iter().zip(written);
        written.for_each(|(record, written)| inner.groups.apply(record, written, now));
        self.wake_timer(inner);
        Ok(())
    }

    /// For events that nobody can refuse. If their records cannot be written, an earlier generation comes back after
    /// a restart, and its members time out.
    fn carry_out(&self, inner: &mut Inner, effects: Effects) {
        let _ = self.append(&effects.records, None);
        inner.answer(effects.answers);
        self.wake_timer(inner);
    }

    fn wake_timer(&self, inner: &Inner) {
        let next_ms = inner.groups.next_deadline_ms();
        if next_ms.is_some_and(|next_ms| inner.timer_ms.is_none_or(|timer_ms| next_ms < timer_ms)) {
            self.nearer_deadline.notify_one();
        }
    }

    fn arm_timer(&self) -> Option<i64> {
        let mut inner = self.lock();
        inner.timer_ms = inner.groups.next_deadline_ms();
        inner.timer_ms
    }

    fn expire(&self) {
        let mut inner = self.lock();
        let now = self.now();
        let effects = inner.groups.expire_members(now);
        self.carry_out(&mut inner, effects);
        let records = inner.groups.expire_offsets(now);
        // What could not be written is found again by the next look.
        let _ = self.append_and_apply(&mut inner, records, None);
    }
}

impl Inner {
    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A receiver that is gone belongs to a connection that is gone.
    fn answer(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            match answer {
                Answer::Join(ticket, response) => {
                    if let Some(sender) = self.joining.remove(&ticket) {
                        let _ = sender.send(response);
                    }
                }
                Answer::Sync(ticket, response) => {
                    if let Some(sender) = self.syncing.remove(&ticket) {
                        let _ = sender.send(response);
                    }
                }
            }
        }
    }
}

/// Sleeps until the nearest deadline, or until a nearer one appears. Idle while no group has any.
async fn run_timer(shared: Arc<Shared>) {
    loop {
        let deadline_ms = shared.arm_timer();
        let sleep = async {
            match deadline_ms {
                Some(deadline_ms) => shared.clock.sleep_until(deadline_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => shared.expire(),
            () = shared.nearer_deadline.notified() => {}
        }
    }
}

fn now(clock: &Clock) -> Now {
    Now { wall_ms: clock.now_ms(), monotonic_ms: clock.monotonic_ms() }
}
