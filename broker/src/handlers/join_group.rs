//! JoinGroup v0–9.
//!
//! Held until the group's next generation begins, at most for the rebalance timeout. v1: a rebalance timeout of its
//! own. v4: a new member is told its id first (MEMBER_ID_REQUIRED, KIP-394). v5: static members (KIP-345). v7: the
//! protocol type is answered (KIP-559). v8: the client's reason, which is logged (KIP-800). v9: a leader can be told
//! that nothing has to be assigned (KIP-814).

use std::sync::Arc;

use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::groups::classic::Join;
use crate::groups::turn::Ticket;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for JoinGroupRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 9 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> JoinGroupResponse {
        if let Err(error) = check(&self, &broker) {
            return answerable(refusal(&self, error), context.api_version);
        }
        let response = broker.groups.join(|ticket| event(self, ticket, &context)).await;
        answerable(response, context.api_version)
    }
}

fn check(request: &JoinGroupRequest, broker: &BrokerState) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    if !broker.groups.is_session_timeout_allowed(request.session_timeout_ms) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    Ok(())
}

fn refusal(request: &JoinGroupRequest, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse::default().with_member_id(request.member_id.clone()).with_error_code(error.code())
}

fn event(mut request: JoinGroupRequest, ticket: Ticket, context: &RequestContext) -> Join {
    if context.api_version == 0 || request.rebalance_timeout_ms < 0 {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    let client_id = context.client_id.clone().unwrap_or_default();
    let id_begins_with = request.group_instance_id.as_ref().unwrap_or(&client_id);
    let fresh_member_id = StrBytes::from_string(format!("{id_begins_with}-{}", Uuid::new_v4()));
    Join {
        ticket,
        request,
        client_id,
        // As Java prints an address.
        client_host: StrBytes::from_string(format!("/{}", context.client_address)),
        fresh_member_id,
        requires_known_member_id: context.api_version >= 4,
        supports_skipping_assignment: context.api_version >= 9,
    }
}

/// "No protocol" is null; up to v6, which have no null here, it is empty.
fn answerable(mut response: JoinGroupResponse, api_version: i16) -> JoinGroupResponse {
    let name = response.protocol_name.take().filter(|name| !name.is_empty());
    response.protocol_name = if api_version < 7 { Some(name.unwrap_or_default()) } else { name };
    response
}
