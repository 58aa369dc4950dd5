//! InitProducerId v0–5.
//!
//! Gives a producer its id and epoch (KIP-98). One without a transactional id gets a fresh id each time, epoch 0; the
//! id and epoch that it names since v3 are not read, as in Kafka. Under a transactional id whoever comes last is the
//! producer: the one before is fenced, and what it left open is aborted before the answer, where Kafka answers
//! CONCURRENT_TRANSACTIONS and is asked again. v3: a producer that names its id and epoch goes on after an error
//! (KIP-360). v4: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588).

use std::sync::Arc;

use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use ottla_protocol::{ErrorCode, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::init::Init;
use crate::transactions::transaction::Producer;

impl Handler for InitProducerIdRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> InitProducerIdResponse {
        match init(&self, &broker) {
            Ok(producer) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch),
            Err(error) => InitProducerIdResponse::default()
                .with_error_code(context.fencing_code(error, FENCED_SINCE).code())
                .with_producer_id(ProducerId(NO_PRODUCER_ID))
                .with_producer_epoch(NO_PRODUCER_EPOCH),
        }
    }
}

/// The first version whose clients know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 4;

fn init(request: &InitProducerIdRequest, broker: &BrokerState) -> Result<Producer, ErrorCode> {
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => None,
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some(Producer { id, epoch }),
    };
    let Some(transactional_id) = &request.transactional_id else {
        let id = broker.topics.new_producer_id().map_err(|error| {
            tracing::error!("no producer id can be given: {error}");
            error.code()
        })?;
        return Ok(Producer { id, epoch: 0 });
    };
    broker.transactions.init(transactional_id, Init { timeout_ms: request.transaction_timeout_ms, expected })
}
