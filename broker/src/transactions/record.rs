//! What the coordinator writes to `__transaction_state`.

use std::collections::BTreeSet;

use ottla_protocol::messages::{TopicName, TransactionalId};
use ottla_protocol::records::SchemaError;
use ottla_protocol::records::transaction_state::{
    TransactionLogKey, TransactionLogValue, TransactionPartitions, TransactionStateKey,
};
use ottla_protocol::{NO_PRODUCER_ID, NO_TIMESTAMP, StrBytes};

use super::partition_set::PartitionSet;
use super::transaction::{ClientVersion, Outcome, Producer, State, Transaction};

/// A record as the log has it. No value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Why a record does not say where a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("{0} is no state that a transaction is kept in")]
    Status(i8),
}

pub(crate) fn encode(id: &TransactionalId, transaction: Option<&Transaction>) -> EncodedRecord {
    let key = TransactionLogKey { transactional_id: id.to_string() };
    EncodedRecord { key: key.encode(), value: transaction.map(encode_value) }
}

/// `None` for a record of a later Kafka.
pub(crate) fn decode(
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<Option<(TransactionalId, Option<Transaction>)>, RecordError> {
    let TransactionStateKey::TransactionLog(key) = TransactionStateKey::decode(key)? else {
        return Ok(None);
    };
    let transaction = value.map(decode_value).transpose()?;
    Ok(Some((TransactionalId(StrBytes::from_string(key.transactional_id)), transaction)))
}

fn encode_value(transaction: &Transaction) -> Vec<u8> {
    let next_id = match &transaction.state {
        State::Prepare { next_id, .. } => *next_id,
        _ => None,
    };
    let partitions = match &transaction.state {
        State::Empty => None,
        State::Ongoing { partitions, .. } | State::Prepare { partitions, .. } => {
            Some(partitions.topics().map(encode_topic).collect())
        }
        State::Complete { .. } => Some(Vec::new()),
    };
    let value = TransactionLogValue {
        producer_id: transaction.producer.id,
        previous_producer_id: transaction.previous_id.unwrap_or(NO_PRODUCER_ID),
        next_producer_id: next_id.unwrap_or(NO_PRODUCER_ID),
        producer_epoch: transaction.producer.epoch,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: status(&transaction.state),
        transaction_partitions: partitions,
        last_update_timestamp_ms: transaction.last_update_ms,
        start_timestamp_ms: transaction.start_ms().unwrap_or(NO_TIMESTAMP),
        client_transaction_version: match transaction.client_version {
            ClientVersion::V0 => 0,
            ClientVersion::V2 => 2,
        },
    };
    value.encode()
}

fn encode_topic((topic, partitions): (&TopicName, &BTreeSet<i32>)) -> TransactionPartitions {
    TransactionPartitions { topic: topic.to_string(), partition_ids: partitions.iter().copied().collect() }
}

/// Kafka's number of a state. 6, Dead, and 7, PrepareEpochFence, are never written.
fn status(state: &State) -> i8 {
    match state {
        State::Empty => 0,
        State::Ongoing { .. } => 1,
        State::Prepare { outcome: Outcome::Commit, .. } => 2,
        State::Prepare { outcome: Outcome::Abort, .. } => 3,
        State::Complete { outcome: Outcome::Commit, .. } => 4,
        State::Complete { outcome: Outcome::Abort, .. } => 5,
    }
}

fn decode_value(value: &[u8]) -> Result<Transaction, RecordError> {
    let value = TransactionLogValue::decode(value)?;
    let start_ms = value.start_timestamp_ms;
    let producer_id = |id: i64| Some(id).filter(|id| *id != NO_PRODUCER_ID);
    let next_id = producer_id(value.next_producer_id);
    let prepare = |outcome, partitions| State::Prepare { outcome, partitions, start_ms, next_id };
    let partitions = decode_partitions(value.transaction_partitions);
    let state = match value.transaction_status {
        0 => State::Empty,
        1 => State::Ongoing { partitions, start_ms },
        2 => prepare(Outcome::Commit, partitions),
        3 => prepare(Outcome::Abort, partitions),
        4 => State::Complete { outcome: Outcome::Commit, start_ms },
        5 => State::Complete { outcome: Outcome::Abort, start_ms },
        status => return Err(RecordError::Status(status)),
    };
    Ok(Transaction {
        producer: Producer { id: value.producer_id, epoch: value.producer_epoch },
        previous_id: producer_id(value.previous_producer_id),
        last_epoch: None,
        timeout_ms: value.transaction_timeout_ms,
        last_update_ms: value.last_update_timestamp_ms,
        client_version: match value.client_transaction_version {
            ..2 => ClientVersion::V0,
            _ => ClientVersion::V2,
        },
        state,
    })
}

fn decode_partitions(topics: Option<Vec<TransactionPartitions>>) -> PartitionSet {
    let of_topic = |TransactionPartitions { topic, partition_ids }: TransactionPartitions| {
        let topic = TopicName(StrBytes::from_string(topic));
        partition_ids.into_iter().map(move |partition| (topic.clone(), partition))
    };
    topics.unwrap_or_default().into_iter().flat_map(of_topic).collect()
}
