//! What can go wrong with a Kafka sink; in Spark's words where Spark has them.

use std::time::Duration;

use ottla_client::producer::ProducerError;
use ottla_client::{ConnectError, RequestError};
use ottla_protocol::ErrorCode;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum KafkaSinkError {
    #[error("Required attribute 'value' not found")]
    NoValue,
    #[error(
        "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic."
    )]
    NoTopic,
    #[error("{column} attribute unsupported type {data_type}. {column} must be a(n) {expected}")]
    ColumnType { column: &'static str, data_type: String, expected: &'static str },
    #[error(
        "The Kafka message data sent to the producer contains a null topic. Use the `topic` option for setting a \
         default topic."
    )]
    NullTopic,
    #[error("a header of row {row} of a batch has no key, which Kafka does not allow")]
    NullHeaderKey { row: usize },
    #[error("Kafka option '{0}' is not supported as {1} are serialized with ByteArraySerializer.")]
    Serializer(&'static str, &'static str),
    #[error("Kafka option '{0}' is not served by Ottla yet: it connects without TLS and SASL")]
    Security(String),
    #[error("Kafka option 'transactional.id' needs the sink option 'exactlyOnce' to be true")]
    TransactionalIdAlone,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Somebody has ended the transaction.
    #[error(
        "batch {batch_id} is not in its topic: the broker has ended its transaction ({source}). Either it took longer \
         than the {} ms of 'kafka.transaction.timeout.ms': raise that option, or give the source a smaller \
         'maxOffsetsPerTrigger'. Or another run of this query writes as '{transactional_id}' now. Started again, the \
         query runs this batch again",
        timeout.as_millis()
    )]
    TransactionLost { batch_id: u64, transactional_id: String, timeout: Duration, source: RequestError },
}

/// Whether the broker says that the transaction is not the producer's any more.
pub(super) fn is_lost(code: Option<ErrorCode>) -> bool {
    matches!(
        code,
        Some(
            ErrorCode::ProducerFenced
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::InvalidTxnState
                | ErrorCode::InvalidProducerIdMapping
                | ErrorCode::UnknownProducerId
                | ErrorCode::TransactionAbortable
        )
    )
}
