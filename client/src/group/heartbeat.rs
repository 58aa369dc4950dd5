//! Heartbeat v3–4: the member is alive, and hears whether the group still is as it was.

use ottla_protocol::messages::{GroupId, HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use super::member::GroupMember;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 4 };

/// What a heartbeat says of the member's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Current,
    /// A rebalance has begun, or the coordinator has given this member up: time to rejoin.
    RejoinNeeded,
}

impl GroupMember {
    pub async fn heartbeat(&self) -> Result<Membership, RequestError> {
        let group = &self.config.group;
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.clone())))
            .with_generation_id(self.generation_id)
            .with_member_id(StrBytes::from_string(self.member_id.clone()));
        let line = self.line(self.request_timeout());
        let code_of = |response: &HeartbeatResponse| response.error_code;
        let response = self.client.call_coordinator_on(line, VERSIONS, |_| request.clone(), code_of).await?;
        match ErrorCode::try_from_code(response.error_code) {
            None => Ok(Membership::Current),
            Some(
                ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId,
            ) => Ok(Membership::RejoinNeeded),
            Some(code) => Err(RequestError::kafka(Subject::Group(group.clone()), code)),
        }
    }
}
