//! From one generation to the next: members are asked to join, then the next generation begins.

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::JoinGroupResponse;
use tracing::info;

use super::member::Member;
use super::{ClassicGroup, InitialDelay, Joining, MemberId, Phase, Syncing};
use crate::groups::turn::Turn;

/// The shortest time between two attempts to end a join phase that nobody has come to; clients may ask for a
/// rebalance timeout of zero.
const JOIN_RETRY_MIN_MS: i64 = 1_000;

impl ClassicGroup {
    /// Starts a rebalance; if one is under way, checks whether it can end.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::PreparingRebalance(_) => self.complete_join_if_all_joined(turn),
            _ => self.prepare_rebalance(reason, turn),
        }
    }

    /// Asks every member to join. They learn of it by their heartbeats, and by the answer to a SyncGroup that waits.
    pub(super) fn prepare_rebalance(&mut self, reason: &str, turn: &mut Turn<'_>) {
        info!(
            group = self.id.as_str(),
            generation = self.generation_id,
            state = self.state_name(),
            reason,
            "rebalancing"
        );
        if matches!(self.phase, Phase::CompletingRebalance(_)) {
            self.withdraw_assignments(turn);
        }
        let timeout_ms = self.rebalance_timeout_ms();
        let (delay_ms, initial) = if self.is_empty() {
            let delay_ms = turn.config.initial_rebalance_delay_ms;
            let remaining_ms = (timeout_ms - delay_ms).max(0);
            (delay_ms, Some(InitialDelay { delay_ms, remaining_ms, new_member_added: false }))
        } else {
            (timeout_ms, None)
        };
        let deadline_ms = turn.now.monotonic_ms + delay_ms;
        self.enter(Phase::PreparingRebalance(Joining { deadline_ms, initial }), turn);
        if self.members.is_empty() {
            // Nobody is asked, so nobody is waited for; clients with a pending id start the next generation.
            self.complete_join(turn);
        } else {
            self.complete_join_if_all_joined(turn);
        }
    }

    /// Ends the join phase early once nobody is missing. The first rebalance waits its delay out regardless.
    pub(super) fn complete_join_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        let Phase::PreparingRebalance(joining) = &self.phase else { return };
        if joining.initial.is_none() && self.has_all_members_joined() {
            self.complete_join(turn);
        }
    }

    /// Ends the join phase: those who did not come are out, the others form the next generation.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        let is_lost = |member: &&Member| !member.awaits_join() && !member.is_static();
        let lost: Vec<MemberId> =
            self.members.values().filter(is_lost).map(|member| member.id.clone()).collect();
        for member_id in &lost {
            self.remove(member_id, turn);
        }
        let retry_ms = turn.now.monotonic_ms + self.rebalance_timeout_ms().max(JOIN_RETRY_MIN_MS);
        if self.members.is_empty() {
            self.become_empty(turn);
        } else if self.elect_joined_leader() {
            self.begin_generation(turn);
        } else if let Phase::PreparingRebalance(joining) = &mut self.phase {
            // Only static members are left and none of them came: wait until they do, or their sessions end.
            joining.deadline_ms = retry_ms;
        }
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.generation_id = self.generation_id.wrapping_add(1);
        self.protocol_name = None;
        self.leader = None;
        self.subscribed_topics = self.compute_subscribed_topics();
        self.enter(Phase::Empty, turn);
        info!(group = self.id.as_str(), generation = self.generation_id, "the group is empty");
        turn.append(self.metadata_record());
    }

    /// The leader stays if it has joined; otherwise one that has takes its place. False if nobody has.
    fn elect_joined_leader(&mut self) -> bool {
        let is_here = |member: &Member| member.awaits_join();
        let keeps = self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(is_here);
        if !keeps {
            let Some(next) = self.members.values().find(|member| is_here(member)) else { return false };
            self.leader = Some(next.id.clone());
        }
        true
    }

    fn begin_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation_id = self.generation_id.wrapping_add(1);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let syncing = Syncing {
            pending: self.members.keys().cloned().collect(),
            deadline_ms: turn.now.monotonic_ms + self.rebalance_timeout_ms(),
        };
        info!(
            group = self.id.as_str(),
            generation = self.generation_id,
            members = self.members.len(),
            "new generation"
        );
        let answers: Vec<(MemberId, JoinGroupResponse)> =
            self.members.keys().map(|id| (id.clone(), self.join_response(id))).collect();
        self.enter(Phase::CompletingRebalance(syncing), turn);
        for (member_id, response) in answers {
            self.settle_join(&member_id, response, turn);
        }
        for member in self.members.values_mut() {
            member.is_new = false;
            member.restart_session(turn.now.monotonic_ms);
        }
    }

    /// The assignment that members wait for will not come: they have to join again.
    fn withdraw_assignments(&mut self, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.settle_syncs(Err(ErrorCode::RebalanceInProgress), turn);
    }
}
