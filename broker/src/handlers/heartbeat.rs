//! Heartbeat v0–4.
//!
//! Keeps the member's session, and tells it with REBALANCE_IN_PROGRESS that it has to join again. v3: static members
//! (KIP-345).

use std::sync::Arc;

use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for HeartbeatRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 4 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> HeartbeatResponse {
        let outcome = if self.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else {
            broker.groups.heartbeat(&self)
        };
        HeartbeatResponse::default().with_error_code(outcome.err().map_or(0, |error| error.code()))
    }
}
