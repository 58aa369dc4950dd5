//! EndTxn v0–5.
//!
//! Commits or aborts a transaction (KIP-98). Its markers are in the partitions when the answer comes, but for those
//! that cannot be written now; where Kafka answers CONCURRENT_TRANSACTIONS to what the producer sends next, this broker
//! has nothing left to do. v2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588). v5: each transaction has an
//! epoch of its own, and the answer names the next one, or the next id; an abort needs no transaction (KIP-890).

use std::sync::Arc;

use ottla_protocol::VersionRange;
use ottla_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::end::End;
use crate::transactions::transaction::{ClientVersion, Outcome, Producer};

/// The first version whose clients know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;
const EPOCH_BUMP_SINCE: i16 = 5;

impl Handler for EndTxnRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> EndTxnResponse {
        let bumps_epoch = context.api_version >= EPOCH_BUMP_SINCE;
        let end = End {
            producer: Producer { id: self.producer_id.0, epoch: self.producer_epoch },
            outcome: if self.committed { Outcome::Commit } else { Outcome::Abort },
            client_version: if bumps_epoch { ClientVersion::V2 } else { ClientVersion::V0 },
        };
        match broker.transactions.end(&self.transactional_id, end) {
            Ok(next) if bumps_epoch => EndTxnResponse::default()
                .with_producer_id(ProducerId(next.id))
                .with_producer_epoch(next.epoch),
            Ok(_) => EndTxnResponse::default(),
            Err(error) => {
                EndTxnResponse::default().with_error_code(context.fencing_code(error, FENCED_SINCE).code())
            }
        }
    }
}
