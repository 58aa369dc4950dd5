//! AddPartitionsToTxn v3: partitions become part of a transaction before they are written to (KIP-98). Later versions are
//! for brokers; where the second protocol is served, nobody sends it (KIP-890).

use ottla_protocol::messages::AddPartitionsToTxnRequest;
use ottla_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use ottla_protocol::{ErrorCode, VersionRange};

use crate::by_topic::by_topic;
use crate::client::Client;
use crate::coordinator::CoordinatorKey;
use crate::error::{RequestError, Subject};
use crate::transaction::{TransactionProtocol, TransactionalIdentity, is_passing};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 3 };

impl Client {
    /// Adds all partitions to the producer's transaction, and begins it with the first ones. Does nothing where writing to
    /// a partition adds it.
    pub async fn add_partitions_to_transaction(
        &self,
        identity: &TransactionalIdentity,
        partitions: &[(&str, i32)],
    ) -> Result<(), RequestError> {
        if identity.protocol == TransactionProtocol::V2 {
            return Ok(());
        }
        let topics = by_topic(partitions.iter().copied()).into_iter().map(|(name, partitions)| {
            AddPartitionsToTxnTopic::default().with_name(name).with_partitions(partitions)
        });
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(identity.id())
            .with_v3_and_below_producer_id(identity.producer_id())
            .with_v3_and_below_producer_epoch(identity.producer.producer_epoch)
            .with_v3_and_below_topics(topics.collect());
        let key = CoordinatorKey::Transaction(&identity.transactional_id);
        let attempts = self.attempts();
        loop {
            let response = self.call_coordinator_of(key, VERSIONS, |_| request.clone(), first_error).await?;
            let Some((subject, code)) = refusal(&response) else {
                return Ok(());
            };
            if !is_passing(code) || !attempts.pause().await {
                return Err(RequestError::kafka(subject, code));
            }
        }
    }
}

/// A coordinator that is away says so of every partition.
fn first_error(response: &AddPartitionsToTxnResponse) -> i16 {
    refusal(response).map_or(0, |(_, code)| code.code())
}

/// One partition's error; those that were only not attempted because of another one come last.
fn refusal(response: &AddPartitionsToTxnResponse) -> Option<(Subject, ErrorCode)> {
    let mut refusals: Vec<_> = response
        .results_by_topic_v3_and_below
        .iter()
        .flat_map(|topic| topic.results_by_partition.iter().map(move |partition| (topic, partition)))
        .filter_map(|(topic, partition)| {
            let code = ErrorCode::try_from_code(partition.partition_error_code)?;
            Some((Subject::Partition(topic.name.to_string(), partition.partition_index), code))
        })
        .collect();
    refusals.sort_by_key(|(_, code)| *code == ErrorCode::OperationNotAttempted);
    refusals.into_iter().next()
}
