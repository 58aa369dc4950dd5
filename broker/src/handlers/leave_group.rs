//! LeaveGroup v0–5.
//!
//! v3: several members at once, static ones by their instance id alone, as `kafka-consumer-groups` and the admin
//! client remove them (KIP-345). v5: the client's reason (KIP-800).

use std::sync::Arc;

use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for LeaveGroupRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> LeaveGroupResponse {
        if self.group_id.is_empty() {
            return LeaveGroupResponse::default().with_error_code(ErrorCode::InvalidGroupId.code());
        }
        if context.api_version >= 3 {
            return LeaveGroupResponse::default()
                .with_members(broker.groups.leave(&self.group_id, self.members));
        }
        // Up to v2 the one member is named in the request itself, and its error is that of the response.
        let member = MemberIdentity::default().with_member_id(self.member_id);
        let responses = broker.groups.leave(&self.group_id, vec![member]);
        let error_code = responses.first().map_or(0, |response| response.error_code);
        LeaveGroupResponse::default().with_error_code(error_code)
    }
}
