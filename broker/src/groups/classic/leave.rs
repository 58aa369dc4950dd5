//! A LeaveGroup request: one member says goodbye, or an administrator removes several (KIP-345).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;

use super::ClassicGroup;
use crate::groups::MemberId;
use crate::groups::turn::Turn;

impl ClassicGroup {
    pub(crate) fn leave(&mut self, members: Vec<MemberIdentity>, turn: &mut Turn<'_>) -> Vec<MemberResponse> {
        let responses: Vec<MemberResponse> =
            members.into_iter().map(|identity| self.leave_one(identity, turn)).collect();
        if !self.is_empty() && responses.iter().any(|response| response.error_code == 0) {
            self.rebalance_or_complete_join("members leave", turn);
        }
        responses
    }

    fn leave_one(&mut self, identity: MemberIdentity, turn: &mut Turn<'_>) -> MemberResponse {
        let outcome = self.find_leaving(&identity).map(|member_id| {
            self.pending_members.remove(&member_id);
            self.remove(&member_id, turn);
        });
        MemberResponse::default()
            .with_member_id(identity.member_id)
            .with_group_instance_id(identity.group_instance_id)
            .with_error_code(outcome.err().map_or(0, |error| error.code()))
    }

    /// An administrator names a static member by its instance id alone.
    fn find_leaving(&self, identity: &MemberIdentity) -> Result<MemberId, ErrorCode> {
        let instance_id = identity.group_instance_id.as_ref();
        if identity.member_id.is_empty() {
            let member_id = instance_id.and_then(|instance_id| self.static_member_id(instance_id));
            return member_id.cloned().ok_or(ErrorCode::UnknownMemberId);
        }
        if !self.pending_members.contains_key(&identity.member_id) {
            self.check_member(&identity.member_id, instance_id)?;
        }
        Ok(identity.member_id.clone())
    }
}
