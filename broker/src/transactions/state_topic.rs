//! `__transaction_state`: the coordinator's records in Kafka's schemas, partitions and settings.

use std::sync::Arc;

use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BatchError, RecordBatch};
use ottla_protocol::messages::TransactionalId;
use ottla_storage::AppendOrigin;
use tracing::warn;

use super::record::{self, EncodedRecord};
use super::state_log::{AppendStateError, StateLog};
use super::transaction::Transaction;
use crate::config::BrokerSettings;
use crate::internal_topic::{DECOMPRESSED_MAX_BYTES, InternalTopic, LoadError, partition_for};
use crate::partition::Partition;
use crate::topics::{Topic, Topics};

const TOPIC_NAME: &str = "__transaction_state";

/// The topic behind the coordinator. It is created when the first transactional id comes.
pub(crate) struct StateTopic {
    topic: InternalTopic,
}

impl StateTopic {
    pub(crate) fn new(topics: Arc<Topics>, settings: &BrokerSettings) -> StateTopic {
        let overrides = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "uncompressed".to_owned()),
            ("min.insync.replicas", settings.transaction_state_log_min_isr.to_string()),
            ("segment.bytes", settings.transaction_state_log_segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        let partitions = settings.transaction_state_log_num_partitions;
        StateTopic { topic: InternalTopic::new(topics, TOPIC_NAME, partitions, &overrides) }
    }
}

impl StateLog for StateTopic {
    fn append(
        &self,
        id: &TransactionalId,
        transaction: Option<&Transaction>,
        now_ms: i64,
    ) -> Result<(), AppendStateError> {
        let topic = self.topic.find_or_create()?;
        let failed = |source| AppendStateError::Build { id: id.to_string(), source };
        let EncodedRecord { key, value } = record::encode(id, transaction);
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(now_ms, Some(&key), value.as_deref()).map_err(failed)?;
        let bytes = batch.build().map_err(failed)?;
        let partition = partition_of(&topic, id);
        let appended = partition.append(&bytes, AppendOrigin::Coordinator, now_ms);
        appended.map(drop).map_err(|source| AppendStateError::Append { partition: partition.index, source })
    }

    fn coordinator_epoch(&self, id: &TransactionalId) -> i32 {
        self.topic.find().map_or(0, |topic| partition_of(&topic, id).leader_epoch)
    }

    fn replay(&self, load: &mut dyn FnMut(TransactionalId, Option<Transaction>)) -> Result<(), LoadError> {
        let Some(topic) = self.topic.find() else { return Ok(()) };
        topic.partitions.iter().try_for_each(|partition| {
            self.topic.load(partition, &mut |batch| load_batch(batch, partition.index, load))
        })
    }
}

fn partition_of<'a>(topic: &'a Topic, id: &TransactionalId) -> &'a Partition {
    &topic.partitions[partition_for(id, topic.partitions.len())]
}

fn load_batch(
    batch: &RecordBatch<'_>,
    partition: i32,
    load: &mut dyn FnMut(TransactionalId, Option<Transaction>),
) -> Result<(), BatchError> {
    if batch.header().is_control() {
        return Ok(());
    }
    for record in batch.records(DECOMPRESSED_MAX_BYTES)?.iter() {
        let record = record?;
        let Some(key) = record.key else { continue };
        match record::decode(key, record.value) {
            Ok(Some((id, transaction))) => load(id, transaction),
            Ok(None) => {}
            Err(error) => {
                warn!(partition, offset = record.offset, %error, "skipped a record of {TOPIC_NAME}");
            }
        }
    }
    Ok(())
}
