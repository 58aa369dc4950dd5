//! ListTransactions v0–2 (KIP-664): transactional ids by state and producer. v1: by how long a transaction has been open
//! (KIP-994). v2: by a regular expression (KIP-1152), in the syntax that Java and the `regex-lite` crate share.

use std::sync::Arc;

use ottla_protocol::VersionRange;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::list::{Filter, listed};

impl Handler for ListTransactionsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 2 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> ListTransactionsResponse {
        let filter = match Filter::new(&self, broker.clock.now_ms()) {
            Ok(filter) => filter,
            Err(error) => return ListTransactionsResponse::default().with_error_code(error.code()),
        };
        let mut states = Vec::new();
        broker.transactions.for_each(|id, transaction| {
            if filter.admits(id, transaction) {
                states.push(listed(id, transaction));
            }
        });
        filter.empty_answer().with_transaction_states(states)
    }
}
