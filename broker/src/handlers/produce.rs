//! Produce v3–13.
//!
//! Each partition's data is one record batch of magic 2, stored as it came: the log checks its CRC, size, count,
//! timestamps and producer sequence (KIP-98), then writes the base offset and leader epoch. The append is a copy into
//! mapped memory under the partition's short lock, so it is done in place, before the first await. One broker holds
//! the only replica: `acks=1` and `acks=all` are answered alike. `acks=0` is not answered; as in Kafka, an error then
//! closes the connection, so that the client looks again. With `flush.messages` the answer waits for the disk, together
//! with others that wait for the same partition. v8: `error_message` (KIP-467). v13: topic ids (KIP-516).
//!
//! ApiVersions names v0 as the lowest version, as Kafka's broker does: librdkafka otherwise sends nothing compressed
//! (KAFKA-18659).
//!
//! Transactional batches: `produce_in_transaction`. v11: TRANSACTION_ABORTABLE; v12: the write adds its partitions to the
//! transaction (KIP-890).
//!
//! Not done: `compression.type` other than `producer`.

use std::sync::Arc;

use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use ottla_storage::{AppendError, AppendOrigin, FlushDue};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::produce_in_transaction::{self, Admission};
use crate::partition::{Partition, append_error_code};
use crate::state::BrokerState;
use crate::topic_name::is_internal;
use crate::topics::Topic;

/// The offset and the time that stand for "none".
const NONE: i64 = -1;

impl Handler for ProduceRequest {
    const SERVED: VersionRange = VersionRange { min: 3, max: 13 };
    const ADVERTISED_MIN: i16 = 0;

    fn is_answered(&self) -> bool {
        self.acks != 0
    }

    fn has_failed(response: &ProduceResponse) -> bool {
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        partitions.into_iter().any(|partition| partition.error_code != 0)
    }

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> ProduceResponse {
        let admissions = refused_as_a_whole(&self)
            .and_then(|()| produce_in_transaction::admit(&self, &broker, context.api_version));
        let refused = admissions.as_ref().err().copied();
        let mut admissions = admissions.unwrap_or_default().into_iter();
        let now_ms = broker.clock.now_ms();
        let mut unsynced = Vec::new();
        let responses = self.topic_data.into_iter().enumerate().map(|(at, data)| match refused {
            Some(error) => respond(data, |_| Err(Refused::from(error))),
            None => {
                let topic = find(&broker, &data, context.api_version);
                respond(data, |partition| {
                    let admission = admissions.next().unwrap_or(Admission::Free);
                    let topic = topic.as_ref().map_err(|error| *error)?;
                    append(topic, partition, admission, now_ms, |partition, end_offset| {
                        unsynced.push(Unsynced { topic: at, partition, end_offset });
                    })
                })
            }
        });
        let mut responses: Vec<_> = responses.collect();
        wait_for_disk(&mut responses, unsynced).await;
        ProduceResponse::default().with_responses(responses)
    }
}

/// What may be acknowledged once it is on the disk.
struct Unsynced {
    /// Its place in the response.
    topic: usize,
    partition: Arc<Partition>,
    end_offset: i64,
}

async fn wait_for_disk(responses: &mut [TopicProduceResponse], unsynced: Vec<Unsynced>) {
    for Unsynced { topic, partition, end_offset } in unsynced {
        let Err(error) = partition.synced(end_offset).await else { continue };
        let answers = &mut responses[topic].partition_responses;
        let unanswered = answers.iter_mut().filter(|answer| answer.index == partition.index);
        unanswered.for_each(|answer| *answer = refusal(partition.index, error.into()));
    }
}

/// Why a partition's data was not appended.
struct Refused {
    error: ErrorCode,
    message: Option<String>,
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Refused {
        Refused { error, message: None }
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        Refused { error: append_error_code(&error), message: Some(error.to_string()) }
    }
}

fn refused_as_a_whole(request: &ProduceRequest) -> Result<(), ErrorCode> {
    if (-1..=1).contains(&request.acks) { Ok(()) } else { Err(ErrorCode::InvalidRequiredAcks) }
}

pub(super) fn find(
    broker: &BrokerState,
    data: &TopicProduceData,
    api_version: i16,
) -> Result<Arc<Topic>, ErrorCode> {
    let topic = if api_version >= 13 {
        broker.topics.by_id(data.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        broker.topics.by_name(&data.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    if is_internal(&topic.name) { Err(ErrorCode::InvalidTopicException) } else { Ok(topic) }
}

fn append(
    topic: &Topic,
    data: PartitionProduceData,
    admission: Admission,
    now_ms: i64,
    wait_for_disk: impl FnOnce(Arc<Partition>, i64),
) -> Result<PartitionProduceResponse, Refused> {
    let partition = topic.partition(data.index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let records = data.records.unwrap_or_default();
    let verification = match admission {
        Admission::Free => None,
        Admission::Verified(guard) => Some(guard),
        Admission::Refused(error) => return Err(error.into()),
    };
    let appended = partition.append_verified(&records, AppendOrigin::Client, verification, now_ms)?;
    if appended.flush == FlushDue::BeforeAcknowledgement {
        wait_for_disk(Arc::clone(partition), appended.last_offset + 1);
    }
    Ok(PartitionProduceResponse::default()
        .with_index(data.index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time_ms.unwrap_or(NONE))
        .with_log_start_offset(appended.log_start_offset))
}

fn respond(
    data: TopicProduceData,
    mut append: impl FnMut(PartitionProduceData) -> Result<PartitionProduceResponse, Refused>,
) -> TopicProduceResponse {
    let partitions = data.partition_data.into_iter().map(|partition| {
        let index = partition.index;
        append(partition).unwrap_or_else(|refused| refusal(index, refused))
    });
    TopicProduceResponse::default()
        .with_partition_responses(partitions.collect())
        .with_name(data.name)
        .with_topic_id(data.topic_id)
}

fn refusal(index: i32, refused: Refused) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(refused.error.code())
        .with_error_message(refused.message.map(StrBytes::from_string))
        .with_base_offset(NONE)
        .with_log_append_time_ms(NONE)
        .with_log_start_offset(NONE)
}
