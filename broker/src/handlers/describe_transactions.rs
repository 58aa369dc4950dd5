//! DescribeTransactions v0 (KIP-664): where transactional ids stand, and which partitions their transactions have.

use std::sync::Arc;

use ottla_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TransactionalId,
};
use ottla_protocol::{ErrorCode, NO_TIMESTAMP, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::partition_set::PartitionSet;
use crate::transactions::transaction::Transaction;

impl Handler for DescribeTransactionsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 0 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DescribeTransactionsResponse {
        let states = self.transactional_ids.into_iter().map(|id| {
            let described = match broker.transactions.describe(&id) {
                Some(transaction) => describe(&transaction),
                None => refusal(&id),
            };
            described.with_transactional_id(id)
        });
        DescribeTransactionsResponse::default().with_transaction_states(states.collect())
    }
}

fn describe(transaction: &Transaction) -> TransactionState {
    let topics = transaction.partitions().into_iter().flat_map(PartitionSet::topics);
    let topics = topics.map(|(topic, partitions)| {
        TopicData::default().with_topic(topic.clone()).with_partitions(partitions.iter().copied().collect())
    });
    TransactionState::default()
        .with_transaction_state(StrBytes::from_static_str(transaction.state_name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.start_ms().unwrap_or(NO_TIMESTAMP))
        .with_producer_id(ProducerId(transaction.producer.id))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(topics.collect())
}

fn refusal(id: &TransactionalId) -> TransactionState {
    let error = if id.is_empty() { ErrorCode::InvalidRequest } else { ErrorCode::TransactionalIdNotFound };
    TransactionState::default().with_error_code(error.code())
}
