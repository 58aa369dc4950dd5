//! The topics of a broker: what exists, under which name and id, and how it comes and goes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::messages::TopicName;
use ottla_protocol::{ErrorCode, StrBytes};
use ottla_storage::{CloseError, DataDir, Log, OpenError, RetentionError};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::cleaner::Cleaner;
use crate::clock::Clock;
use crate::config::{BrokerSettings, TOPIC_SETTINGS, TopicSettings};
use crate::fetch_sessions::{PartitionKey, TopicKey};
use crate::flush_schedule::FlushSchedule;
use crate::partition::Partition;

mod catalog;
mod change;
mod cluster_settings;
mod error;
mod store;

use catalog::Catalog;
pub(crate) use catalog::Topic;
pub(crate) use change::{NewTopic, PlannedTopic};
use cluster_settings::with_cluster_settings;
pub(crate) use error::{CreateTopicError, InvalidTopicConfig, TopicWriteError};
use store::TopicStore;

/// The most partitions that a topic can have; Kafka too refuses more in one request.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;

/// Every topic of the broker.
pub(crate) struct Topics {
    defaults: TopicSettings,
    default_partitions: i32,
    store: TopicStore,
    catalog: RwLock<Catalog>,
    /// Held while topics change, which writes to disk; readers look into the catalog meanwhile.
    changing: Mutex<Lifecycle>,
}

/// Whether the directory is still this broker's to write to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    Open,
    Closed,
}

impl Topics {
    /// Opens every topic that the directory knows.
    pub(crate) fn open(
        data_dir: DataDir,
        settings: &BrokerSettings,
        clock: Clock,
    ) -> Result<Topics, OpenError> {
        let metadata = data_dir.metadata();
        let topics = Topics {
            defaults: TopicSettings::from_broker(&with_cluster_settings(settings, &metadata)),
            default_partitions: settings.num_partitions,
            store: TopicStore::new(data_dir, clock),
            catalog: RwLock::default(),
            changing: Mutex::new(Lifecycle::Open),
        };
        for (name, topic) in metadata.topics() {
            let settings = topics.resolve_known(name, &topic.configs);
            let partitions = topics.store.open_partitions(name, topic, &settings.log_config())?;
            let (name, overrides) =
                (TopicName(StrBytes::from_string(name.to_owned())), topic.configs.clone());
            let topic = Topic { name, id: topic.id, partitions, settings, overrides };
            topics.catalog.write().put(Arc::new(topic));
        }
        Ok(topics)
    }

    /// Where the logs are.
    pub(crate) fn directory(&self) -> &Path {
        self.store.data_dir.path()
    }

    pub(crate) fn cluster_id(&self) -> &str {
        self.store.data_dir.cluster_id()
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.catalog.read().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.catalog.read().by_id.get(&id).cloned()
    }

    pub(crate) fn has_partition(&self, name: &str, index: i32) -> bool {
        self.by_name(name).is_some_and(|topic| topic.partition(index).is_some())
    }

    /// Every topic, in the order of the names.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.catalog.read().by_name.values().cloned().collect()
    }

    /// The partition that a fetch names.
    pub(crate) fn partition(&self, key: &PartitionKey) -> Result<Arc<Partition>, ErrorCode> {
        let topic = match &key.topic {
            TopicKey::Name(name) => self.by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) => self.by_id(*id).ok_or(ErrorCode::UnknownTopicId),
        };
        topic?.partition(key.index).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// The settings that a topic with these overrides has.
    pub(crate) fn resolve(
        &self,
        overrides: &BTreeMap<String, String>,
    ) -> Result<TopicSettings, InvalidTopicConfig> {
        let mut settings = self.defaults.clone();
        for (name, value) in overrides {
            let setting = TOPIC_SETTINGS.iter().find(|setting| setting.name == name);
            let setting = setting.ok_or_else(|| InvalidTopicConfig::Unknown { name: name.clone() })?;
            setting.set(&mut settings, value)?;
        }
        Ok(settings)
    }

    /// A producer id that nobody else has got, before or after a restart.
    pub(crate) fn new_producer_id(&self) -> Result<i64, TopicWriteError> {
        Ok(self.store.new_producer_id()?)
    }

    /// The logs that a kill has left, and that nobody has looked at yet.
    pub(crate) fn unchecked_logs(&self) -> Vec<Arc<Log>> {
        let partitions = self.partitions();
        let unchecked = partitions.iter().filter(|partition| partition.log.is_unchecked());
        unchecked.map(|partition| Arc::clone(&partition.log)).collect()
    }

    /// Brings logs that have grown to the disk, and notes how far.
    pub(crate) fn flush(&self) -> Result<(), CloseError> {
        let partitions = self.partitions();
        let mut grown = partitions.iter().filter(|partition| partition.log.is_unflushed());
        let Some(first) = grown.next() else { return Ok(()) };
        for partition in std::iter::once(first).chain(grown) {
            partition.log.flush()?;
        }
        match self.change() {
            Ok(_changing) => Ok(self.store.write_checkpoints(&partitions)?),
            // What a closed log knows was written when it was closed.
            Err(_) => Ok(()),
        }
    }

    /// Drops the segments whose retention is over, and wakes the fetches that waited below the new log starts.
    pub(crate) fn delete_old_segments(&self) {
        let now_ms = self.store.clock.now_ms();
        let mut have_moved = false;
        for partition in self.partitions() {
            match partition.delete_old_segments(now_ms) {
                Ok(0) => {}
                Ok(count) => {
                    have_moved = true;
                    let start_offset = partition.start_offset();
                    tracing::info!(log = %partition.log.topic_partition(), start_offset, "{count} segments deleted");
                }
                Err(RetentionError::Stopped(_)) => {}
                Err(error) => tracing::warn!(log = %partition.log.topic_partition(), "{error}"),
            }
        }
        if have_moved && let Err(error) = self.keep_log_starts() {
            tracing::warn!("{error}; after a kill, a log may begin a little earlier again");
        }
    }

    /// When this returns, logs begin where they do now whatever happens to the process.
    pub(crate) fn keep_log_starts(&self) -> Result<(), TopicWriteError> {
        let _changing = self.change()?;
        Ok(self.store.write_log_start_offsets(&self.partitions())?)
    }

    /// Which logs wait for `flush.ms`.
    pub(crate) fn flush_schedule(&self) -> Arc<FlushSchedule> {
        Arc::clone(&self.store.flush_schedule)
    }

    /// Which logs are to be compacted.
    pub(crate) fn cleaner(&self) -> Arc<Cleaner> {
        Arc::clone(&self.store.cleaner)
    }

    /// Notes up to where logs were compacted.
    pub(crate) fn write_cleaner_checkpoint(&self) {
        // A directory that is closed belongs to the next broker.
        let Ok(_changing) = self.change() else { return };
        if let Err(error) = self.store.write_cleaner_checkpoint(&self.partitions()) {
            tracing::warn!("{error}; after the next start some logs are compacted once more");
        }
    }

    /// Forgets the sequence numbers of producers that have written nothing for so long.
    pub(crate) fn expire_producers(&self, expiration_ms: i64) {
        let now_ms = self.store.clock.now_ms();
        self.partitions().iter().for_each(|partition| partition.log.expire_producers(now_ms, expiration_ms));
    }

    /// Ends every log, so that the next start has nothing to recover.
    pub(crate) fn close(&self) -> Result<(), CloseError> {
        let mut changing = self.changing.lock();
        *changing = Lifecycle::Closed;
        self.store.close(&self.partitions())
    }

    fn partitions(&self) -> Vec<Arc<Partition>> {
        self.catalog.read().by_name.values().flat_map(|topic| topic.partitions.iter().cloned()).collect()
    }

    /// As [`Topics::resolve`], for a directory that a Kafka may have written: what is not known here is passed over.
    fn resolve_known(&self, topic: &str, overrides: &BTreeMap<String, String>) -> TopicSettings {
        let mut settings = self.defaults.clone();
        for (name, value) in overrides {
            let known = TOPIC_SETTINGS.iter().find(|setting| setting.name == name);
            match known.map(|setting| setting.set(&mut settings, value)) {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!("topic {topic}: {error}; the broker's default holds"),
                None => tracing::warn!("topic {topic}: {name} has no effect on Ottla"),
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::Compression;
    use ottla_protocol::batch::BatchBuilder;
    use ottla_storage::AppendOrigin;

    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn open(dir: &Path) -> Topics {
        let data_dir = DataDir::open(dir, 1, ottla_storage::Durability::Process).unwrap();
        Topics::open(data_dir, &BrokerSettings::default(), Clock::manual(NOW_MS)).unwrap()
    }

    fn append(topic: &Topic) {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(NOW_MS, None, Some(b"value")).unwrap();
        let partition = topic.partition(0).unwrap();
        partition.append(&batch.build().unwrap(), AppendOrigin::Client, NOW_MS).unwrap();
    }

    #[test]
    fn a_flush_moves_the_recovery_point_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let topic = topics.create(NewTopic::with_defaults("t")).unwrap();
        append(&topic);
        assert_eq!(topic.partitions[0].log.recovery_point(), 0);
        topics.flush().unwrap();
        assert_eq!(topic.partitions[0].log.recovery_point(), 1);
        let checkpoint =
            std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
        assert!(checkpoint.contains("t 0 1"), "{checkpoint}");
    }

    #[tokio::test]
    async fn what_is_not_appended_to_any_more_is_soon_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let flush_schedule = topics.flush_schedule();
        tokio::spawn(Arc::clone(&flush_schedule).run());
        let overrides = BTreeMap::from([("segment.ms".to_owned(), "1".to_owned())]);
        let topic = topics.create(NewTopic { overrides, ..NewTopic::with_defaults("t") }).unwrap();
        for timestamp in [NOW_MS, NOW_MS + 10] {
            let mut batch = BatchBuilder::new(Compression::None);
            batch.push(timestamp, None, Some(b"value")).unwrap();
            topic.partitions[0].append(&batch.build().unwrap(), AppendOrigin::Client, NOW_MS).unwrap();
        }
        assert_eq!(topic.partitions[0].log.synced_offset(), 0);
        topics.store.clock.advance(std::time::Duration::from_secs(1));
        flush_schedule.settled().await;
        assert_eq!(topic.partitions[0].log.synced_offset(), 2);
    }

    #[test]
    fn a_closed_directory_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        append(&topics.create(NewTopic::with_defaults("t")).unwrap());
        topics.close().unwrap();
        let next = open(dir.path());
        append(&next.by_name("t").unwrap());
        next.flush().unwrap();
        let checkpoint = dir.path().join("recovery-point-offset-checkpoint");
        let written = std::fs::read_to_string(&checkpoint).unwrap();
        topics.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&checkpoint).unwrap(), written);
        let refused = topics.create(NewTopic::with_defaults("u")).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::NotController);
    }

    #[test]
    fn settings_that_only_kafka_knows_do_not_keep_a_topic_from_opening() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let overrides =
            BTreeMap::from([("x.y".to_owned(), "1".to_owned()), ("segment.ms".to_owned(), "5".to_owned())]);
        assert!(
            matches!(topics.resolve(&overrides), Err(InvalidTopicConfig::Unknown { name }) if name == "x.y")
        );
        assert_eq!(topics.resolve_known("t", &overrides).segment_ms, 5);
    }
}
