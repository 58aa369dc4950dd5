//! DescribeCluster v0–2 (KIP-700).
//!
//! One broker, which is the controller too. v1: only endpoint type 1, brokers, is answered (KIP-919).
//! v2: no broker is ever fenced (KIP-1073).

use std::sync::Arc;

use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

impl Handler for DescribeClusterRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 2 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> DescribeClusterResponse {
        let response = DescribeClusterResponse::default().with_endpoint_type(self.endpoint_type);
        let refuse = |error: ErrorCode, message| {
            let message = Some(StrBytes::from_static_str(message));
            response.clone().with_error_code(error.code()).with_error_message(message)
        };
        match self.endpoint_type {
            BROKERS => {}
            CONTROLLERS => return refuse(ErrorCode::MismatchedEndpointType, "this listener is a broker's"),
            _ => {
                return refuse(
                    ErrorCode::UnsupportedEndpointType,
                    "only brokers and controllers have endpoints",
                );
            }
        }
        let node_id = BrokerId(broker.config.settings.node_id);
        let this_broker = DescribeClusterBroker::default()
            .with_broker_id(node_id)
            .with_host(context.advertised.host.clone())
            .with_port(i32::from(context.advertised.port));
        response
            .with_cluster_id(broker.cluster_id.clone())
            .with_controller_id(node_id)
            .with_brokers(vec![this_broker])
    }
}
