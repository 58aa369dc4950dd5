//! LeaveGroup v3–5: the others need not wait for the session to time out.

use ottla_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::{GroupId, LeaveGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use super::member::GroupMember;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 5 };

impl GroupMember {
    /// A member that the coordinator has given up already counts as gone.
    pub async fn leave(self) -> Result<(), RequestError> {
        let group = &self.config.group;
        let member = MemberIdentity::default().with_member_id(StrBytes::from_string(self.member_id.clone()));
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.clone())))
            .with_members(vec![member]);
        let line = self.line(self.request_timeout());
        let code_of = |response: &LeaveGroupResponse| response.error_code;
        let response = self.client.call_coordinator_on(line, VERSIONS, |_| request.clone(), code_of).await?;
        let of_member = response.members.first().map_or(0, |member| member.error_code);
        match ErrorCode::try_from_code(response.error_code).or(ErrorCode::try_from_code(of_member)) {
            None | Some(ErrorCode::UnknownMemberId) => Ok(()),
            Some(code) => Err(RequestError::kafka(Subject::Group(group.clone()), code)),
        }
    }
}
