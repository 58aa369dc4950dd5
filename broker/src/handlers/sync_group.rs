//! SyncGroup v0–5.
//!
//! The leader brings the assignment; the others are held until it has. v3: static members (KIP-345). v5: what the
//! client thinks the group agreed on is checked (KIP-559).

use std::sync::Arc;

use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for SyncGroupRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> SyncGroupResponse {
        if context.api_version >= 5 && (self.protocol_type.is_none() || self.protocol_name.is_none()) {
            return SyncGroupResponse::default().with_error_code(ErrorCode::InconsistentGroupProtocol.code());
        }
        if self.group_id.is_empty() {
            return SyncGroupResponse::default().with_error_code(ErrorCode::InvalidGroupId.code());
        }
        broker.groups.sync(self).await
    }
}
