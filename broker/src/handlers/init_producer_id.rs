//! InitProducerId v0–5.
//!
//! Gives an idempotent producer its id (KIP-98): a fresh one each time, epoch 0. v3: a producer that names its id and
//! epoch, to go on after an error (KIP-360), gets a fresh id too, as from Kafka, which for producers without
//! transactions does not read the two.
//!
//! Not done: transactional ids. They are answered UNSUPPORTED_VERSION, as FindCoordinator answers for them.

use std::sync::Arc;

use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use ottla_protocol::{ErrorCode, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for InitProducerIdRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> InitProducerIdResponse {
        match new_producer_id(&self, &broker) {
            Ok(producer_id) => InitProducerIdResponse::default().with_producer_id(ProducerId(producer_id)),
            Err(error) => InitProducerIdResponse::default()
                .with_error_code(error.code())
                .with_producer_id(ProducerId(NO_PRODUCER_ID))
                .with_producer_epoch(NO_PRODUCER_EPOCH),
        }
    }
}

fn new_producer_id(request: &InitProducerIdRequest, broker: &BrokerState) -> Result<i64, ErrorCode> {
    let (id, epoch) = (request.producer_id.0, request.producer_epoch);
    if (id == NO_PRODUCER_ID) != (epoch == NO_PRODUCER_EPOCH) {
        return Err(ErrorCode::InvalidRequest);
    }
    match &request.transactional_id {
        None => {}
        Some(transactional_id) if transactional_id.is_empty() => return Err(ErrorCode::InvalidRequest),
        Some(_) => return Err(ErrorCode::UnsupportedVersion),
    }
    broker.topics.new_producer_id().map_err(|error| {
        tracing::error!("no producer id can be given: {error}");
        error.code()
    })
}
