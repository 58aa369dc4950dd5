//! `__consumer_offsets`: the coordinator's records in Kafka's schemas, partitions and settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::batch::{BatchBuilder, BatchError, RecordBatch};
use ottla_protocol::messages::{GroupId, TopicName};
use ottla_protocol::records::control::ControlRecordType;
use ottla_protocol::{Compression, NO_SEQUENCE};
use ottla_storage::{AppendOrigin, MarkerError, TransactionMarker, VerificationGuard, VerificationRequest};
use tracing::warn;

use super::offsets_log::{AppendGroupsError, LogEvent, OffsetsLog, OpenTransaction};
use super::record::{CoordinatorRecord, EncodedRecord, Written};
use crate::config::BrokerSettings;
use crate::internal_topic::{DECOMPRESSED_MAX_BYTES, InternalTopic, LoadError, partition_for};
use crate::topics::Topics;
use crate::transactions::transaction::{Outcome, Producer};

pub(crate) const TOPIC_NAME: &str = "__consumer_offsets";

/// A batch is closed once it has this many bytes, so that many records together stay below `max.message.bytes`.
const BATCH_BYTES: usize = 512 * 1024;

/// The topic behind the coordinator. It is created when the first record is written.
#[derive(Clone)]
pub(crate) struct OffsetsTopic {
    topic: Arc<InternalTopic>,
}

/// Where a group's offsets are, and whether a producer's transaction is open there.
#[derive(Debug)]
pub(crate) struct VerifiedPartition {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    /// `None`: it is open already, and nobody has to be asked.
    pub(crate) verification: Option<VerificationGuard>,
}

impl OffsetsTopic {
    pub(crate) fn new(topics: Arc<Topics>, settings: &BrokerSettings) -> OffsetsTopic {
        let overrides = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", settings.offsets_topic_segment_bytes.to_string()),
        ];
        let partitions = settings.offsets_topic_num_partitions;
        OffsetsTopic { topic: Arc::new(InternalTopic::new(topics, TOPIC_NAME, partitions, &overrides)) }
    }

    /// The partition that a group's offsets are in.
    pub(crate) fn partition_of(&self, group_id: &GroupId) -> Result<(TopicName, i32), AppendGroupsError> {
        let topic = self.topic.find_or_create()?;
        let index = partition_for(group_id, topic.partitions.len());
        Ok((topic.name.clone(), topic.partitions[index].index))
    }

    /// To be called before the transaction coordinator is asked about a producer that commits offsets (KIP-890).
    pub(crate) fn start_verification(
        &self,
        group_id: &GroupId,
        producer: Producer,
        supports_epoch_bump: bool,
        now_ms: i64,
    ) -> Result<VerifiedPartition, AppendGroupsError> {
        let topic = self.topic.find_or_create()?;
        let partition = &topic.partitions[partition_for(group_id, topic.partitions.len())];
        let request = VerificationRequest {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: NO_SEQUENCE,
            supports_epoch_bump,
        };
        let verification = partition.log.start_transaction_verification(request, now_ms);
        let verification = verification
            .map_err(|source| AppendGroupsError::Append { partition: partition.index, source })?;
        Ok(VerifiedPartition { topic: topic.name.clone(), partition: partition.index, verification })
    }
}

impl OffsetsLog for OffsetsTopic {
    fn append(
        &self,
        records: &[CoordinatorRecord],
        transaction: Option<&OpenTransaction>,
        now_ms: i64,
    ) -> Result<Vec<Written>, AppendGroupsError> {
        let topic = self.topic.find_or_create()?;
        let mut by_partition: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            let partition = partition_for(record.group_id(), topic.partitions.len());
            by_partition.entry(partition).or_default().push(at);
        }
        let producer_id = transaction.map(|transaction| transaction.producer.id);
        let nowhere = Written { log_partition: 0, log_offset: 0, producer_id };
        let mut written = vec![nowhere; records.len()];
        for (index, places) in by_partition {
            let partition = &topic.partitions[index];
            let bytes = encode(places.iter().map(|at| &records[*at]), transaction, now_ms)?;
            let verification = transaction.and_then(|transaction| transaction.verification);
            let appended = partition.append_verified(&bytes, AppendOrigin::Coordinator, verification, now_ms);
            let failed = |source| AppendGroupsError::Append { partition: partition.index, source };
            let base_offset = appended.map_err(failed)?.base_offset;
            for (offset, at) in (base_offset..).zip(places) {
                written[at] = Written { log_partition: partition.index, log_offset: offset, producer_id };
            }
        }
        Ok(written)
    }

    fn append_marker(
        &self,
        partition: i32,
        marker: &TransactionMarker,
        now_ms: i64,
    ) -> Result<(), MarkerError> {
        let topic = self.topic.find();
        match topic.as_ref().and_then(|topic| topic.partition(partition)) {
            Some(partition) => partition.append_marker(marker, now_ms).map(drop),
            None => Ok(()),
        }
    }

    fn replay(&self, load: &mut dyn FnMut(LogEvent)) -> Result<(), LoadError> {
        let Some(topic) = self.topic.find() else { return Ok(()) };
        topic.partitions.iter().try_for_each(|partition| {
            self.topic.load(partition, &mut |batch| load_batch(batch, partition.index, load))
        })
    }
}

fn encode<'a>(
    records: impl Iterator<Item = &'a CoordinatorRecord>,
    transaction: Option<&OpenTransaction>,
    now_ms: i64,
) -> Result<Vec<u8>, AppendGroupsError> {
    let mut bytes = Vec::new();
    let mut batch = new_batch(transaction);
    let mut group = None;
    let failed = |group: &GroupId, source| AppendGroupsError::Build { group: group.to_string(), source };
    for record in records {
        let group = group.insert(record.group_id());
        let EncodedRecord { key, value } = record.encode();
        batch.push(now_ms, Some(&key), value.as_deref()).map_err(|source| failed(group, source))?;
        if batch.size_bytes() >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, new_batch(transaction));
            bytes.extend_from_slice(&full.build().map_err(|source| failed(group, source))?);
        }
    }
    if let (false, Some(group)) = (batch.is_empty(), group) {
        bytes.extend_from_slice(&batch.build().map_err(|source| failed(group, source))?);
    }
    Ok(bytes)
}

fn new_batch(transaction: Option<&OpenTransaction>) -> BatchBuilder {
    let batch = BatchBuilder::new(Compression::None);
    match transaction {
        Some(OpenTransaction { producer, .. }) => {
            batch.with_producer(producer.id, producer.epoch, NO_SEQUENCE).transactional()
        }
        None => batch,
    }
}

fn load_batch(
    batch: &RecordBatch<'_>,
    log_partition: i32,
    load: &mut dyn FnMut(LogEvent),
) -> Result<(), BatchError> {
    let header = *batch.header();
    let producer_id = Some(header.producer_id).filter(|_| header.is_transactional());
    for record in batch.records(DECOMPRESSED_MAX_BYTES)?.iter() {
        let record = record?;
        let Some(key) = record.key else { continue };
        if header.is_control() {
            if let Some(outcome) = outcome_of(key) {
                load(LogEvent::EndOfTransaction { log_partition, producer_id: header.producer_id, outcome });
            }
            continue;
        }
        match CoordinatorRecord::decode(key, record.value) {
            Ok(Some(decoded)) => {
                let written = Written { log_partition, log_offset: record.offset, producer_id };
                load(LogEvent::Record(decoded, written));
            }
            Ok(None) => {}
            Err(error) => {
                warn!(log_partition, offset = record.offset, %error, "skipped a record of {TOPIC_NAME}");
            }
        }
    }
    Ok(())
}

fn outcome_of(control_key: &[u8]) -> Option<Outcome> {
    match ControlRecordType::decode_key(control_key) {
        Ok(ControlRecordType::Commit) => Some(Outcome::Commit),
        Ok(ControlRecordType::Abort) => Some(Outcome::Abort),
        _ => None,
    }
}
