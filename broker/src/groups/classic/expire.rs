//! Deadlines: sessions that end, members that do not join or sync in time, ids that nobody comes back with.

use super::member::Member;
use super::{ClassicGroup, InitialDelay, MemberId, Phase};
use crate::groups::turn::Turn;

impl ClassicGroup {
    /// The next time, on the monotonic clock, at which [`ClassicGroup::expire`] has something to do.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        let sessions = self.members.values().filter_map(|member| member.session_deadline_ms);
        let pending = self.pending_members.values().copied();
        sessions.chain(pending).chain(self.phase_deadline_ms()).min()
    }

    /// Does what has come due, however late it is called.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) {
        self.forget_pending_members(turn);
        self.expire_sessions(turn);
        if self.phase_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= turn.now.monotonic_ms) {
            self.expire_phase(turn);
        }
    }

    fn phase_deadline_ms(&self) -> Option<i64> {
        match &self.phase {
            Phase::PreparingRebalance(joining) => Some(joining.deadline_ms),
            Phase::CompletingRebalance(syncing) | Phase::Stable(syncing) if !syncing.pending.is_empty() => {
                Some(syncing.deadline_ms)
            }
            _ => None,
        }
    }

    fn expire_phase(&mut self, turn: &mut Turn<'_>) {
        match &mut self.phase {
            Phase::Empty => {}
            Phase::PreparingRebalance(joining) => {
                match joining.initial.as_mut().and_then(InitialDelay::extend) {
                    Some(delay_ms) => joining.deadline_ms = turn.now.monotonic_ms + delay_ms,
                    None => self.complete_join(turn),
                }
            }
            Phase::CompletingRebalance(syncing) | Phase::Stable(syncing) => {
                for member_id in std::mem::take(&mut syncing.pending) {
                    self.remove(&member_id, turn);
                }
                self.prepare_rebalance("members did not ask for their assignment in time", turn);
            }
        }
    }

    fn forget_pending_members(&mut self, turn: &mut Turn<'_>) {
        let known = self.pending_members.len();
        self.pending_members.retain(|_, forgotten_ms| *forgotten_ms > turn.now.monotonic_ms);
        if self.pending_members.len() < known {
            self.complete_join_if_all_joined(turn);
        }
    }

    fn expire_sessions(&mut self, turn: &mut Turn<'_>) {
        let is_due =
            |member: &&mut Member| member.session_deadline_ms.is_some_and(|at| at <= turn.now.monotonic_ms);
        let mut failed: Vec<MemberId> = Vec::new();
        for member in self.members.values_mut().filter(is_due) {
            if member.is_excused_from_heartbeat() {
                member.session_deadline_ms = None;
            } else {
                failed.push(member.id.clone());
            }
        }
        for member_id in &failed {
            self.remove(member_id, turn);
        }
        if !failed.is_empty() {
            self.rebalance_or_complete_join("sessions ended without a heartbeat", turn);
        }
    }
}

impl InitialDelay {
    /// How much longer the first rebalance waits, because somebody joined meanwhile and there is time left.
    fn extend(&mut self) -> Option<i64> {
        if !self.new_member_added || self.remaining_ms == 0 {
            return None;
        }
        self.new_member_added = false;
        let waited_ms = self.delay_ms;
        self.delay_ms = self.delay_ms.min(self.remaining_ms);
        self.remaining_ms = (self.remaining_ms - waited_ms).max(0);
        Some(self.delay_ms)
    }
}
