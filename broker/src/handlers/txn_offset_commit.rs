//! TxnOffsetCommit v0–5.
//!
//! Commits offsets as a part of a transaction: they are in `__consumer_offsets` when the answer comes, and count when
//! the transaction is committed (KIP-98). v2: leader epochs (KIP-320). v3: the group's generation, member and instance
//! fence those who are not in it any more (KIP-447). v5: adds the group's partition to the transaction; up to v4
//! AddOffsetsToTxn has to have done so (KIP-890).

use std::sync::Arc;

use ottla_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::messages::{TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::groups::offsets_log::OpenTransaction;
use crate::groups::offsets_topic::VerifiedPartition;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::transactions::admission::WriterVersion;
use crate::transactions::partition_set::PartitionSet;
use crate::transactions::transaction::Producer;

impl Handler for TxnOffsetCommitRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> TxnOffsetCommitResponse {
        let exists = |topic: &TopicName, partition| broker.topics.has_partition(topic, partition);
        let any_exists = self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| exists(&topic.name, partition.partition_index))
        });
        if !any_exists {
            return refusal(&self, ErrorCode::UnknownTopicOrPartition);
        }
        let committed = admit(&self, &broker, WriterVersion::of_offset_commit(context.api_version))
            .and_then(|transaction| broker.groups.commit_offsets_in_transaction(&self, &transaction, exists));
        committed.unwrap_or_else(|error| refusal(&self, error))
    }
}

/// Whether the group's partition is part of the producer's transaction.
fn admit(
    request: &TxnOffsetCommitRequest,
    broker: &BrokerState,
    version: WriterVersion,
) -> Result<OpenTransaction, ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let now_ms = broker.clock.now_ms();
    let started =
        broker.offsets.start_verification(&request.group_id, producer, version.supports_epoch_bump(), now_ms);
    let VerifiedPartition { topic, partition, verification } = started.map_err(|error| error.code())?;
    if verification.is_some() {
        let wanted = PartitionSet::from_iter([(topic, partition)]);
        let missing = broker.transactions.admit(&request.transactional_id, producer, wanted, version)?;
        if !missing.is_empty() {
            return Err(version.code_of_missing());
        }
    }
    Ok(OpenTransaction { producer, verification })
}

/// The same error for every partition.
fn refusal(request: &TxnOffsetCommitRequest, error: ErrorCode) -> TxnOffsetCommitResponse {
    let of_topic = |topic: &TxnOffsetCommitRequestTopic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    };
    TxnOffsetCommitResponse::default().with_topics(request.topics.iter().map(of_topic).collect())
}
