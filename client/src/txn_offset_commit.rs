//! TxnOffsetCommit v3–5: offsets that count when their transaction is committed (KIP-98). v5 adds the group to the
//! transaction itself (KIP-890).

use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{GroupId, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::by_topic::by_topic;
use crate::client::Client;
use crate::commit_offsets::OffsetToCommit;
use crate::error::{RequestError, Subject};
use crate::transaction::{TransactionProtocol, TransactionalIdentity, is_passing};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 5 };
const LAST_V1: i16 = 4;

impl Client {
    /// Commits offsets of a group that has no members, as a part of the producer's transaction.
    pub async fn commit_offsets_in_transaction(
        &self,
        identity: &TransactionalIdentity,
        group: &str,
        offsets: &[OffsetToCommit],
    ) -> Result<(), RequestError> {
        if identity.protocol == TransactionProtocol::V1 {
            self.add_offsets_to_transaction(identity, group).await?;
        }
        let request = request(identity, group, offsets);
        let versions = identity.protocol.versions(VERSIONS, LAST_V1);
        let attempts = self.attempts();
        loop {
            let response = self.call_coordinator(group, versions, |_| request.clone(), first_error).await?;
            let Some((subject, code)) = refusal(&response) else {
                return Ok(());
            };
            if !is_passing(code) || !attempts.pause().await {
                return Err(RequestError::kafka(subject, code));
            }
        }
    }
}

fn request(
    identity: &TransactionalIdentity,
    group: &str,
    offsets: &[OffsetToCommit],
) -> TxnOffsetCommitRequest {
    let partitions = offsets.iter().map(|offset| {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch.unwrap_or(-1))
            .with_committed_metadata(offset.metadata.clone().map(StrBytes::from_string));
        (offset.topic.as_str(), partition)
    });
    let topics = by_topic(partitions).into_iter().map(|(name, partitions)| {
        TxnOffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions)
    });
    TxnOffsetCommitRequest::default()
        .with_transactional_id(identity.id())
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_producer_id(identity.producer_id())
        .with_producer_epoch(identity.producer.producer_epoch)
        .with_generation_id(-1)
        .with_topics(topics.collect())
}

/// A coordinator that is away says so of every partition.
fn first_error(response: &TxnOffsetCommitResponse) -> i16 {
    refusal(response).map_or(0, |(_, code)| code.code())
}

fn refusal(response: &TxnOffsetCommitResponse) -> Option<(Subject, ErrorCode)> {
    response.topics.iter().find_map(|topic| {
        topic.partitions.iter().find_map(|partition| {
            let code = ErrorCode::try_from_code(partition.error_code)?;
            Some((Subject::Partition(topic.name.to_string(), partition.partition_index), code))
        })
    })
}
