//! Produce v9–13: one batch to one partition. v13: topics by id (KIP-516).

use bytes::Bytes;
use ottla_protocol::batch::BatchHeader;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::by_topic::topic_name;
use crate::client::{Client, Leader, Resend};
use crate::cluster::Lane;
use crate::error::{KafkaError, RequestError, Subject, is_stale_metadata};
use crate::metadata::AutoCreate;
use crate::transaction::TransactionalIdentity;

const VERSIONS: VersionRange = VersionRange { min: 9, max: 13 };
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 13;
/// Later ones add the partition to the transaction (KIP-890).
const LAST_OF_TRANSACTIONS_V1: i16 = 11;

/// `acks`: when a batch counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// When it has left this process: no answer, and no offset.
    None,
    /// When the leader has it.
    Leader,
    /// When all in-sync replicas have it.
    #[default]
    All,
}

/// Where a batch went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProduceOutcome {
    /// Sent with [`Acks::None`].
    Unacknowledged,
    Acknowledged {
        base_offset: i64,
        /// The broker's time, where the topic has `message.timestamp.type=LogAppendTime`.
        log_append_time_ms: Option<i64>,
        log_start_offset: i64,
    },
}

impl Client {
    /// Appends a record batch (format v2, as `ottla_protocol::BatchBuilder` builds it). A topic that does not exist is
    /// made if the broker allows it.
    ///
    /// A batch whose acknowledgement is lost is sent again only if it carries a producer id and sequence, so that
    /// the broker recognises it; any other error says that the batch may have been written.
    pub async fn produce(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<ProduceOutcome, RequestError> {
        self.produce_as(None, topic, partition, batch, acks).await
    }

    /// Appends a transactional batch of the producer's transaction, which the partition must be part of under the first
    /// protocol.
    pub async fn produce_in_transaction(
        &self,
        identity: &TransactionalIdentity,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> Result<ProduceOutcome, RequestError> {
        self.produce_as(Some(identity), topic, partition, batch, Acks::All).await
    }

    async fn produce_as(
        &self,
        identity: Option<&TransactionalIdentity>,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<ProduceOutcome, RequestError> {
        let resend = if has_producer_id(&batch) { Resend::Harmless } else { Resend::OnlyIfNeverSent };
        let attempts = self.attempts();
        loop {
            let error = match self.produce_once(identity, topic, partition, batch.clone(), acks).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            if error.code().is_some_and(is_stale_metadata) {
                self.cluster().forget_topic(topic);
            }
            // CORRUPT_MESSAGE counts as retriable, but the same bytes will be refused again.
            if error.code() == Some(ErrorCode::CorruptMessage) {
                return Err(error);
            }
            let refused = matches!(error, RequestError::Kafka { .. });
            let may_resend = refused || error.was_never_sent() || resend == Resend::Harmless;
            if !may_resend || !error.is_retriable() || !attempts.pause().await {
                return Err(error);
            }
        }
    }

    async fn produce_once(
        &self,
        identity: Option<&TransactionalIdentity>,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<ProduceOutcome, RequestError> {
        let leader = self.leader(topic, partition, AutoCreate::Allowed).await?;
        let connection = self.connection(&leader.server, Lane::Produce).await?;
        let of_protocol =
            |identity: &TransactionalIdentity| identity.protocol.versions(VERSIONS, LAST_OF_TRANSACTIONS_V1);
        let versions = identity.map_or(VERSIONS, of_protocol);
        let request = |version| {
            ProduceRequest::default()
                .with_transactional_id(identity.map(TransactionalIdentity::id))
                .with_acks(acks.code())
                .with_timeout_ms(self.request_timeout_ms())
                .with_topic_data(vec![topic_data(&leader, version, partition, batch)])
        };
        if acks == Acks::None {
            connection.tell(versions, request).await?;
            return Ok(ProduceOutcome::Unacknowledged);
        }
        outcome(connection.call(versions, request).await?, topic, partition)
    }
}

impl Acks {
    fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

fn topic_data(leader: &Leader, version: i16, partition: i32, batch: Bytes) -> TopicProduceData {
    let records = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_partition_data(vec![records]);
    if version >= FIRST_VERSION_WITH_TOPIC_IDS {
        topic.with_topic_id(leader.topic.id)
    } else {
        topic.with_name(topic_name(&leader.topic.name))
    }
}

fn outcome(response: ProduceResponse, topic: &str, partition: i32) -> Result<ProduceOutcome, RequestError> {
    let subject = Subject::Partition(topic.to_owned(), partition);
    let answered = response.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
    let Some(answer) = answered.filter(|answer| answer.index == partition) else {
        return Err(RequestError::Incomplete { api: ApiKey::Produce });
    };
    match refusal(&answer) {
        Some(error) => Err(RequestError::Kafka { subject, error }),
        None => Ok(ProduceOutcome::Acknowledged {
            base_offset: answer.base_offset,
            log_append_time_ms: Some(answer.log_append_time_ms).filter(|time| *time >= 0),
            log_start_offset: answer.log_start_offset,
        }),
    }
}

/// The broker's words about the records themselves (KIP-467) say more than those about the batch.
fn refusal(answer: &PartitionProduceResponse) -> Option<KafkaError> {
    let of_record = answer.record_errors.iter().find_map(|record| record.batch_index_error_message.as_ref());
    KafkaError::new(answer.error_code, of_record.or(answer.error_message.as_ref()))
}

fn has_producer_id(batch: &[u8]) -> bool {
    BatchHeader::parse(batch).is_ok_and(|header| header.has_producer_id())
}
