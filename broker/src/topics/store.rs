//! What becomes of topics on disk: their logs, and their records in the data directory's metadata.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ottla_protocol::records::metadata::{
    ConfigRecord, ConfigResource, MetadataRecord, RemoveTopicRecord, TopicRecord,
};
use ottla_storage::{CloseError, DataDir, DataDirError, Log, LogConfig, OpenError, TopicPartition};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::cleaner::Cleaner;
use crate::clock::Clock;
use crate::flush_schedule::FlushSchedule;
use crate::partition::Partition;
use crate::topics::TopicWriteError;

/// The data directory, as topics use it.
pub(super) struct TopicStore {
    pub(super) data_dir: DataDir,
    pub(super) clock: Clock,
    pub(super) flush_schedule: Arc<FlushSchedule>,
    pub(super) cleaner: Arc<Cleaner>,
    /// Ids that are ours to give.
    producer_ids: Mutex<Range<i64>>,
}

/// Partitions to be made.
pub(super) struct NewPartitions<'a> {
    pub(super) topic: &'a str,
    pub(super) topic_id: Uuid,
    pub(super) indexes: Range<i32>,
    pub(super) config: LogConfig,
}

/// Partitions whose logs are there, and the records that make them known.
pub(super) struct Made {
    pub(super) partitions: Vec<Arc<Partition>>,
    records: Vec<MetadataRecord>,
}

impl TopicStore {
    pub(super) fn new(data_dir: DataDir, clock: Clock) -> TopicStore {
        let flush_schedule = Arc::new(FlushSchedule::new(clock.clone()));
        let cleaner = Arc::new(Cleaner::new(clock.clone()));
        TopicStore { data_dir, clock, flush_schedule, cleaner, producer_ids: Mutex::new(0..0) }
    }

    fn partition(&self, index: i32, leader_epoch: i32, log: Log) -> Partition {
        let (flush_schedule, cleaner) = (Arc::clone(&self.flush_schedule), Arc::clone(&self.cleaner));
        Partition::new(index, leader_epoch, log, flush_schedule, cleaner)
    }

    /// Makes a topic's logs. Nothing knows of them before [`TopicStore::commit_made`], so that metadata never names a
    /// partition that has none.
    pub(super) fn make_topic(
        &self,
        partitions: &NewPartitions<'_>,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Made, TopicWriteError> {
        let (name, topic_id) = (partitions.topic.to_owned(), partitions.topic_id);
        let mut records = vec![MetadataRecord::Topic(TopicRecord { name, topic_id })];
        records
            .extend(overrides.iter().map(|(name, value)| config_record(partitions.topic, name, Some(value))));
        self.make(partitions, records)
    }

    /// As [`TopicStore::make_topic`], for a topic that is there.
    pub(super) fn make_partitions(&self, added: &NewPartitions<'_>) -> Result<Made, TopicWriteError> {
        self.make(added, Vec::new())
    }

    fn make(
        &self,
        new: &NewPartitions<'_>,
        mut records: Vec<MetadataRecord>,
    ) -> Result<Made, TopicWriteError> {
        let mut partitions = Vec::new();
        for index in new.indexes.clone() {
            match self.create_log(new, index) {
                Ok(log) => partitions.push(Arc::new(self.partition(index, 0, log))),
                Err(error) => {
                    undo(&partitions);
                    return Err(error.into());
                }
            }
            records.push(MetadataRecord::Partition(self.data_dir.partition_record(new.topic_id, index)));
        }
        Ok(Made { partitions, records })
    }

    /// Writes into the metadata what was made: all of it, or nothing, and then the logs go again.
    pub(super) fn commit_made<'a>(
        &self,
        made: impl Iterator<Item = &'a Made> + Clone,
    ) -> Result<(), Arc<DataDirError>> {
        let records: Vec<_> = made.clone().flat_map(|made| &made.records).cloned().collect();
        self.commit(&records).map_err(|error| {
            made.for_each(|made| undo(&made.partitions));
            Arc::new(error)
        })
    }

    fn create_log(&self, new: &NewPartitions<'_>, partition: i32) -> Result<Log, OpenError> {
        let topic_partition = TopicPartition { topic: new.topic.to_owned(), partition };
        self.data_dir.create_log(topic_partition, new.topic_id, new.config.clone(), self.clock.now_ms())
    }

    /// The partitions of a topic that the metadata names. Their logs are looked at when they are used.
    pub(super) fn open_partitions(
        &self,
        name: &str,
        topic: &ottla_storage::Topic,
        config: &LogConfig,
    ) -> Result<Vec<Arc<Partition>>, OpenError> {
        let partitions = topic.partitions.iter().map(|(&index, record)| {
            let topic_partition = TopicPartition { topic: name.to_owned(), partition: index };
            let log =
                self.data_dir.open_log(topic_partition, topic.id, config.clone(), self.clock.now_ms())?;
            Ok(Arc::new(self.partition(index, record.leader_epoch, log)))
        });
        partitions.collect()
    }

    pub(super) fn remove_topics(&self, ids: impl Iterator<Item = Uuid>) -> Result<(), Arc<DataDirError>> {
        let records = ids.map(|topic_id| MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
        self.commit(&records.collect::<Vec<_>>()).map_err(Arc::new)
    }

    /// Writes what is new, and takes back what is no longer there.
    pub(super) fn set_overrides(
        &self,
        topic: &str,
        old: &BTreeMap<String, String>,
        new: &BTreeMap<String, String>,
    ) -> Result<(), DataDirError> {
        let gone =
            old.keys().filter(|name| !new.contains_key(*name)).map(|name| config_record(topic, name, None));
        let set = new.iter().map(|(name, value)| config_record(topic, name, Some(value)));
        self.commit(&gone.chain(set).collect::<Vec<_>>())
    }

    /// A producer id that nobody else has got, before or after a restart.
    pub(super) fn new_producer_id(&self) -> Result<i64, DataDirError> {
        let mut producer_ids = self.producer_ids.lock();
        if producer_ids.is_empty() {
            *producer_ids = self.data_dir.allocate_producer_ids(self.clock.now_ms())?;
        }
        let producer_id = producer_ids.start;
        producer_ids.start += 1;
        Ok(producer_id)
    }

    /// Closes the logs, so that the next start has nothing to recover.
    pub(super) fn close(&self, partitions: &[Arc<Partition>]) -> Result<(), CloseError> {
        self.data_dir.close(&logs(partitions))
    }

    pub(super) fn write_checkpoints(&self, partitions: &[Arc<Partition>]) -> Result<(), DataDirError> {
        self.data_dir.write_checkpoints(&logs(partitions))
    }

    pub(super) fn write_cleaner_checkpoint(&self, partitions: &[Arc<Partition>]) -> Result<(), DataDirError> {
        self.data_dir.write_cleaner_checkpoint(&logs(partitions))
    }

    pub(super) fn write_log_start_offsets(&self, partitions: &[Arc<Partition>]) -> Result<(), DataDirError> {
        self.data_dir.write_log_start_offsets(&logs(partitions))
    }

    fn commit(&self, records: &[MetadataRecord]) -> Result<(), DataDirError> {
        if records.is_empty() {
            return Ok(());
        }
        self.data_dir.commit(records, self.clock.now_ms()).map(drop)
    }
}

fn logs(partitions: &[Arc<Partition>]) -> Vec<Arc<Log>> {
    partitions.iter().map(|partition| partition.log.clone()).collect()
}

fn undo(made: &[Arc<Partition>]) {
    made.iter().for_each(|partition| partition.delete());
}

fn config_record(topic: &str, name: &str, value: Option<&String>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource: ConfigResource::Topic,
        resource_name: topic.to_owned(),
        name: name.to_owned(),
        value: value.cloned(),
    })
}
