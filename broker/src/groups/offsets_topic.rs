//! `__consumer_offsets`: the coordinator's records in Kafka's schemas, partitions and settings.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, RecordBatch, batches};
use ottla_protocol::messages::GroupId;
use ottla_protocol::records::control::ControlRecordType;
use ottla_storage::{AppendOrigin, Isolation};
use tracing::warn;

use super::offsets_log::{AppendGroupsError, LoadGroupsError, OffsetsLog};
use super::record::{CoordinatorRecord, EncodedRecord};
use crate::config::BrokerSettings;
use crate::partition::Partition;
use crate::topics::{CreateTopicError, NewTopic, Topic, Topics};

const TOPIC_NAME: &str = "__consumer_offsets";

/// A batch is closed once it has this many bytes, so that many records together stay below `max.message.bytes`.
const BATCH_BYTES: usize = 512 * 1024;
/// As `offsets.load.buffer.size` in Kafka.
const LOAD_BYTES: usize = 5 * 1024 * 1024;
/// No batch that a coordinator writes is larger when decompressed.
const DECOMPRESSED_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The topic behind the coordinator. It is created when the first record is written.
pub(crate) struct OffsetsTopic {
    topics: Arc<Topics>,
    /// How it is created: `offsets.topic.num.partitions`, `offsets.topic.segment.bytes`.
    partitions: i32,
    segment_bytes: i32,
}

impl OffsetsTopic {
    pub(crate) fn new(topics: Arc<Topics>, settings: &BrokerSettings) -> OffsetsTopic {
        let (partitions, segment_bytes) =
            (settings.offsets_topic_num_partitions, settings.offsets_topic_segment_bytes);
        OffsetsTopic { topics, partitions, segment_bytes }
    }

    fn find(&self) -> Option<Arc<Topic>> {
        self.topics.by_name(TOPIC_NAME)
    }

    fn find_or_create(&self) -> Result<Arc<Topic>, AppendGroupsError> {
        if let Some(topic) = self.find() {
            return Ok(topic);
        }
        let overrides = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", self.segment_bytes.to_string()),
        ];
        let topic = NewTopic {
            name: TOPIC_NAME.to_owned(),
            partitions: Some(self.partitions),
            overrides: overrides.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        match self.topics.create(topic) {
            Ok(topic) => Ok(topic),
            // A client created it at the same moment.
            Err(error @ CreateTopicError::Exists { .. }) => self.find().ok_or(error.into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl OffsetsLog for OffsetsTopic {
    fn append(&self, records: &[CoordinatorRecord], now_ms: i64) -> Result<(), AppendGroupsError> {
        let topic = self.find_or_create()?;
        let mut by_partition: BTreeMap<usize, Vec<&CoordinatorRecord>> = BTreeMap::new();
        for record in records {
            by_partition
                .entry(partition_for(record.group_id(), topic.partitions.len()))
                .or_default()
                .push(record);
        }
        for (index, records) in by_partition {
            let partition = &topic.partitions[index];
            let bytes = encode(&records, now_ms)?;
            let appended = partition.append(&bytes, AppendOrigin::Coordinator, now_ms);
            appended.map_err(|source| AppendGroupsError::Append { partition: partition.index, source })?;
        }
        Ok(())
    }

    fn replay(&self, load: &mut dyn FnMut(CoordinatorRecord)) -> Result<(), LoadGroupsError> {
        let Some(topic) = self.find() else { return Ok(()) };
        topic.partitions.iter().try_for_each(|partition| replay_partition(partition, load))
    }
}

/// The partition that Kafka keeps a group's records in: `abs(groupId.hashCode) % partitions`, as Java computes it.
fn partition_for(group_id: &GroupId, partitions: usize) -> usize {
    let hash =
        group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Kafka's `Utils.abs` makes 0 of the one number that has no positive counterpart.
    hash.checked_abs().unwrap_or(0) as usize % partitions.max(1)
}

fn encode(records: &[&CoordinatorRecord], now_ms: i64) -> Result<Vec<u8>, AppendGroupsError> {
    let mut bytes = Vec::new();
    let mut batch = BatchBuilder::new(Compression::None);
    for record in records {
        let failed = |source| AppendGroupsError::Build { group: record.group_id().to_string(), source };
        let EncodedRecord { key, value } = record.encode();
        batch.push(now_ms, Some(&key), value.as_deref()).map_err(failed)?;
        if batch.size_bytes() >= BATCH_BYTES {
            let full = std::mem::replace(&mut batch, BatchBuilder::new(Compression::None));
            bytes.extend_from_slice(&full.build().map_err(failed)?);
        }
    }
    if let (false, Some(last)) = (batch.is_empty(), records.last()) {
        let failed = |source| AppendGroupsError::Build { group: last.group_id().to_string(), source };
        bytes.extend_from_slice(&batch.build().map_err(failed)?);
    }
    Ok(bytes)
}

fn replay_partition(
    partition: &Partition,
    load: &mut dyn FnMut(CoordinatorRecord),
) -> Result<(), LoadGroupsError> {
    let index = partition.index;
    let broken = |source| LoadGroupsError::Batch { partition: index, source };
    let mut open_transactions = OpenTransactions::default();
    let mut offset = partition.start_offset();
    while offset < partition.end_offset() {
        let read = partition.read(offset, LOAD_BYTES, true, Isolation::ReadUncommitted);
        let records =
            read.map_err(|error| LoadGroupsError::Read { partition: index, offset, error })?.records;
        let before = offset;
        for batch in batches(&records) {
            let batch = batch.map_err(broken)?;
            offset = offset.max(batch.header().next_offset());
            open_transactions.load(&batch, index, load)?;
        }
        if offset == before {
            break;
        }
    }
    Ok(())
}

/// Offsets that a Kafka's transactions have written: they count when the commit marker comes (KIP-98).
#[derive(Default)]
struct OpenTransactions {
    by_producer: HashMap<i64, Vec<CoordinatorRecord>>,
}

impl OpenTransactions {
    fn load(
        &mut self,
        batch: &RecordBatch<'_>,
        partition: i32,
        load: &mut dyn FnMut(CoordinatorRecord),
    ) -> Result<(), LoadGroupsError> {
        let broken = |source| LoadGroupsError::Batch { partition, source };
        let header = *batch.header();
        for record in batch.records(DECOMPRESSED_MAX_BYTES).map_err(broken)?.iter() {
            let record = record.map_err(broken)?;
            let Some(key) = record.key else { continue };
            if header.is_control() {
                self.end(header.producer_id, ControlRecordType::decode_key(key).ok(), load);
                continue;
            }
            match CoordinatorRecord::decode(key, record.value) {
                Ok(Some(decoded)) if header.is_transactional() => {
                    self.by_producer.entry(header.producer_id).or_default().push(decoded);
                }
                Ok(Some(decoded)) => load(decoded),
                Ok(None) => {}
                Err(error) => {
                    warn!(partition, offset = record.offset, %error, "skipped a record of {TOPIC_NAME}");
                }
            }
        }
        Ok(())
    }

    fn end(
        &mut self,
        producer_id: i64,
        marker: Option<ControlRecordType>,
        load: &mut dyn FnMut(CoordinatorRecord),
    ) {
        let written = self.by_producer.remove(&producer_id).unwrap_or_default();
        if marker == Some(ControlRecordType::Commit) {
            written.into_iter().for_each(load);
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::StrBytes;

    use super::*;

    #[test]
    fn groups_are_in_the_partitions_that_java_puts_them_in() {
        let group = |name: &str| GroupId(StrBytes::from_string(name.to_owned()));
        // `"…".hashCode()` as Java gives it: 0, 98629247, -2147483648, and one outside of the basic plane.
        assert_eq!(partition_for(&group(""), 50), 0);
        assert_eq!(partition_for(&group("group"), 50), 98_629_247 % 50);
        assert_eq!(partition_for(&group("polygenelubricants"), 50), 0);
        assert_eq!(partition_for(&group("😀"), 50), 1_772_899 % 50);
    }
}
