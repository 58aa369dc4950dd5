//! AddPartitionsToTxn v0–5.
//!
//! Partitions must be part of a transaction before its producer writes to them (KIP-98). One that does not exist, or is
//! the broker's own, refuses all of them. v2: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH (KIP-588). v4, for
//! brokers: several transactions at once, and `verify_only`, which asks whether the partitions are part of the
//! transaction (KIP-890).

use std::sync::Arc;

use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TopicName};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::topic_name::is_internal;
use crate::transactions::partition_set::PartitionSet;
use crate::transactions::transaction::{ClientVersion, Producer};

/// The first version whose clients know PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

impl Handler for AddPartitionsToTxnRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> AddPartitionsToTxnResponse {
        if context.api_version >= 4 {
            let results = self.transactions.iter().map(|transaction| {
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(transaction.transactional_id.clone())
                    .with_topic_results(add(&broker, &context, transaction))
            });
            return AddPartitionsToTxnResponse::default().with_results_by_transaction(results.collect());
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(self.v3_and_below_transactional_id)
            .with_producer_id(self.v3_and_below_producer_id)
            .with_producer_epoch(self.v3_and_below_producer_epoch)
            .with_topics(self.v3_and_below_topics);
        let results = add(&broker, &context, &transaction);
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
    }
}

fn add(
    broker: &BrokerState,
    context: &RequestContext,
    asked: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    // Clients do not write to the broker's own topics; other brokers may ask for them.
    let is_forbidden = |topic: &TopicName| context.api_version < 4 && is_internal(topic);
    let Some(partitions) = known_partitions(broker, &asked.topics, is_forbidden) else {
        return results(&asked.topics, |topic, partition| {
            match broker.topics.has_partition(topic, partition) {
                _ if is_forbidden(topic) => ErrorCode::TopicAuthorizationFailed.code(),
                true => ErrorCode::OperationNotAttempted.code(),
                false => ErrorCode::UnknownTopicOrPartition.code(),
            }
        });
    };
    let id = &asked.transactional_id;
    let producer = Producer { id: asked.producer_id.0, epoch: asked.producer_epoch };
    if asked.verify_only {
        let verified = broker.transactions.verify(id, producer, |open| {
            let is_open =
                |topic: &TopicName, partition| open.is_some_and(|open| open.contains(topic, partition));
            results(&asked.topics, |topic, partition| {
                if is_open(topic, partition) { 0 } else { ErrorCode::TransactionAbortable.code() }
            })
        });
        return verified.unwrap_or_else(|error| results(&asked.topics, |_, _| error.code()));
    }
    let version = if context.api_version >= 4 { ClientVersion::V2 } else { ClientVersion::V0 };
    let added = broker.transactions.add_partitions(id, producer, partitions, version);
    let code = added.err().map_or(0, |error| context.fencing_code(error, FENCED_SINCE).code());
    results(&asked.topics, |_, _| code)
}

/// `None` if one of them does not exist or is forbidden. The names are those of the topics, which outlive the request's buffer.
fn known_partitions(
    broker: &BrokerState,
    topics: &[AddPartitionsToTxnTopic],
    is_forbidden: impl Fn(&TopicName) -> bool,
) -> Option<PartitionSet> {
    let mut partitions = PartitionSet::default();
    for asked in topics {
        let topic = broker.topics.by_name(&asked.name).filter(|topic| !is_forbidden(&topic.name))?;
        for index in &asked.partitions {
            topic.partition(*index)?;
            partitions.insert(topic.name.clone(), *index);
        }
    }
    Some(partitions)
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    code: impl Fn(&TopicName, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code(&topic.name, *index))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    };
    topics.iter().map(of_topic).collect()
}
