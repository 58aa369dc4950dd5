//! A Heartbeat request: the member is alive, and learns whether it has to join again.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::HeartbeatRequest;

use super::{ClassicGroup, Phase};
use crate::groups::MemberId;
use crate::groups::turn::Now;

impl ClassicGroup {
    pub(crate) fn heartbeat(&mut self, request: &HeartbeatRequest, now: Now) -> Result<(), ErrorCode> {
        let instance_id = request.group_instance_id.as_ref();
        self.check_member_of_generation(&request.member_id, instance_id, request.generation_id)?;
        self.restart_session(&request.member_id, now);
        match self.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            Phase::CompletingRebalance(_) | Phase::Stable(_) => Ok(()),
        }
    }

    /// An offset commit keeps the session as a heartbeat does, except while the assignment is awaited.
    pub(crate) fn note_offset_commit(&mut self, member_id: &MemberId, now: Now) {
        if matches!(self.phase, Phase::Stable(_) | Phase::PreparingRebalance(_)) {
            self.restart_session(member_id, now);
        }
    }

    fn restart_session(&mut self, member_id: &MemberId, now: Now) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.restart_session(now.monotonic_ms);
        }
    }
}
