//! AddOffsetsToTxn v0–4.
//!
//! Adds the partition that a group's offsets are in to a transaction, before TxnOffsetCommit writes there (KIP-98).
//! v2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588). Clients of `transaction.version` 2 do not send it
//! (KIP-890).

use std::sync::Arc;

use ottla_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::partition_set::PartitionSet;
use crate::transactions::transaction::{ClientVersion, Producer};

/// The first version whose clients know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

impl Handler for AddOffsetsToTxnRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 4 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> AddOffsetsToTxnResponse {
        let code = match add(&self, &broker) {
            Ok(()) => 0,
            Err(error) => context.fencing_code(error, FENCED_SINCE).code(),
        };
        AddOffsetsToTxnResponse::default().with_error_code(code)
    }
}

fn add(request: &AddOffsetsToTxnRequest, broker: &BrokerState) -> Result<(), ErrorCode> {
    let partition = broker.offsets.partition_of(&request.group_id).map_err(|error| error.code())?;
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let added = PartitionSet::from_iter([partition]);
    broker.transactions.add_partitions(&request.transactional_id, producer, added, ClientVersion::V0)
}
