//! FindCoordinator v0–6.
//!
//! This broker coordinates every group and every transactional id (KIP-98). v4: many keys at once (KIP-699).
//!
//! Not done: coordinators of share groups (key type 2, KIP-932). They are answered UNSUPPORTED_VERSION with a message:
//! a client then fails at once and shows it, where it would try COORDINATOR_NOT_AVAILABLE again until its own timeout.

use std::sync::Arc;

use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

impl Handler for FindCoordinatorRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 6 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> FindCoordinatorResponse {
        let key_type = self.key_type;
        let find = |key: StrBytes| match key_type {
            GROUP | TRANSACTION => this_broker(key, BrokerId(broker.config.settings.node_id), &context),
            SHARE => none(key, ErrorCode::UnsupportedVersion, "Ottla does not serve share groups yet"),
            _ => none(key, ErrorCode::InvalidRequest, "the key type is none of Kafka's"),
        };
        if context.api_version >= 4 {
            let coordinators = self.coordinator_keys.into_iter().map(find).collect();
            return FindCoordinatorResponse::default().with_coordinators(coordinators);
        }
        let Coordinator { node_id, host, port, error_code, error_message, .. } = find(self.key);
        FindCoordinatorResponse::default()
            .with_error_code(error_code)
            .with_error_message(error_message)
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port)
    }
}

fn this_broker(key: StrBytes, node_id: BrokerId, context: &RequestContext) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id(node_id)
        .with_host(context.advertised.host.clone())
        .with_port(i32::from(context.advertised.port))
}

fn none(key: StrBytes, error: ErrorCode, message: &'static str) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
}
