//! What a transactional producer's batches need before they are appended (KIP-98, KIP-890).
//!
//! A partition in which the transaction is open already takes them as they are. Of the others the coordinator is asked,
//! of all at once: up to v11 whether the producer has added them, from v12 on to add them.

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchHeader;
use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce_request::PartitionProduceData;
use ottla_storage::{VerificationGuard, VerificationRequest};

use crate::partition::{Partition, append_error_code};
use crate::state::BrokerState;
use crate::transactions::admission::WriterVersion;
use crate::transactions::partition_set::PartitionSet;
use crate::transactions::transaction::Producer;

/// What one partition's data is appended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It does not begin a transaction.
    Free,
    Verified(VerificationGuard),
    Refused(ErrorCode),
}

/// One for each partition, in the order of the request; none at all if nothing in it is transactional.
///
/// # Errors
/// What the whole request is answered with.
pub(super) fn admit(
    request: &ProduceRequest,
    broker: &BrokerState,
    api_version: i16,
) -> Result<Vec<Admission>, ErrorCode> {
    let Some(producer) = transactional_producer(request)? else { return Ok(Vec::new()) };
    let id = request.transactional_id.as_ref().ok_or(ErrorCode::TransactionalIdAuthorizationFailed)?;
    let version = WriterVersion::of_produce(api_version);
    let now_ms = broker.clock.now_ms();
    let (mut admissions, mut asked) = (Vec::new(), Vec::new());
    for data in &request.topic_data {
        let topic = super::produce::find(broker, data, api_version).ok();
        for data in &data.partition_data {
            let partition = topic.as_ref().and_then(|topic| topic.partition(data.index));
            let admission = match (partition, transactional_batch(data)) {
                (Some(partition), Some(batch)) => start(partition, &batch, version, now_ms),
                _ => Admission::Free,
            };
            if let (Admission::Verified(_), Some(topic)) = (admission, &topic) {
                asked.push((admissions.len(), topic.name.clone(), data.index));
            }
            admissions.push(admission);
        }
    }
    let wanted: PartitionSet = asked.iter().map(|(_, topic, index)| (topic.clone(), *index)).collect();
    if wanted.is_empty() {
        return Ok(admissions);
    }
    let admitted = broker.transactions.admit(id, producer, wanted, version);
    for (place, topic, index) in asked {
        match &admitted {
            Ok(missing) if missing.contains(&topic, index) => {
                admissions[place] = Admission::Refused(version.code_of_missing());
            }
            Ok(_) => {}
            Err(error) => admissions[place] = Admission::Refused(produce_code(*error, version)),
        }
    }
    Ok(admissions)
}

/// The one producer of all transactional batches.
fn transactional_producer(request: &ProduceRequest) -> Result<Option<Producer>, ErrorCode> {
    let batches = request.topic_data.iter().flat_map(|data| &data.partition_data);
    let mut producers = batches.filter_map(transactional_batch).map(|batch| producer_of(&batch));
    let Some(first) = producers.next() else { return Ok(None) };
    if producers.all(|other| other == first) {
        Ok(Some(first))
    } else {
        Err(ErrorCode::InvalidProducerIdMapping)
    }
}

/// What is no batch at all the log refuses.
fn transactional_batch(data: &PartitionProduceData) -> Option<BatchHeader> {
    let header = BatchHeader::parse(data.records.as_ref()?).ok()?;
    header.is_transactional().then_some(header)
}

fn producer_of(batch: &BatchHeader) -> Producer {
    Producer { id: batch.producer_id, epoch: batch.producer_epoch }
}

fn start(partition: &Partition, batch: &BatchHeader, version: WriterVersion, now_ms: i64) -> Admission {
    let request = VerificationRequest {
        producer_id: batch.producer_id,
        producer_epoch: batch.producer_epoch,
        base_sequence: batch.base_sequence,
        supports_epoch_bump: version.supports_epoch_bump(),
    };
    match partition.log.start_transaction_verification(request, now_ms) {
        Ok(None) => Admission::Free,
        Ok(Some(guard)) => Admission::Verified(guard),
        Err(error) => Admission::Refused(append_error_code(&error)),
    }
}

/// Producers from before KIP-890 do not try again on the coordinator's errors; NOT_ENOUGH_REPLICAS they know. Java
/// producers write twice on UNKNOWN_SERVER_ERROR (KAFKA-14034).
fn produce_code(error: ErrorCode, version: WriterVersion) -> ErrorCode {
    match error {
        ErrorCode::ConcurrentTransactions if version == WriterVersion::Adds => error,
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::UnknownServerError => version.code_of_missing(),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_never_answered_with_an_unknown_error() {
        for api_version in 3..=13 {
            let version = WriterVersion::of_produce(api_version);
            let code = produce_code(ErrorCode::UnknownServerError, version);
            assert_ne!(code, ErrorCode::UnknownServerError, "Produce v{api_version}");
        }
    }

    #[test]
    fn only_producers_of_kip_890_are_told_of_a_transaction_that_is_being_ended() {
        let code = |api_version| {
            produce_code(ErrorCode::ConcurrentTransactions, WriterVersion::of_produce(api_version))
        };
        assert_eq!([3, 11].map(code), [ErrorCode::NotEnoughReplicas; 2]);
        assert_eq!([12, 13].map(code), [ErrorCode::ConcurrentTransactions; 2]);
    }
}
