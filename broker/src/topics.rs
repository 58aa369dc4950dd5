//! The catalog of topics: what exists, under which name and id, and how it comes and goes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::messages::TopicName;
use ottla_protocol::{ErrorCode, StrBytes};
use ottla_storage::{Log, OpenError};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{BrokerSettings, InvalidValue, TOPIC_SETTINGS, TopicSettings};
use crate::data_dir::DataDir;
use crate::fetch_sessions::{PartitionKey, TopicKey};
use crate::partition::Partition;
use crate::topic_name::{InvalidTopicName, collision_form, validate};

/// The most partitions that a topic can have; Kafka too refuses more in one request.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;

/// A topic as it is at one moment. A change makes a new one, which shares the partitions.
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) id: Uuid,
    /// In the order of their indexes, from 0 without a gap.
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) settings: TopicSettings,
    /// The settings that the topic was given, as they were written.
    pub(crate) overrides: BTreeMap<String, String>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

/// A topic to be created.
#[derive(Debug, Default)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// Nothing: the broker's `num.partitions`.
    pub(crate) partitions: Option<i32>,
    pub(crate) overrides: BTreeMap<String, String>,
}

impl NewTopic {
    pub(crate) fn with_defaults(name: &str) -> NewTopic {
        NewTopic { name: name.to_owned(), ..NewTopic::default() }
    }
}

/// A new topic that has been checked, and can be created as long as nobody else takes the name.
#[derive(Debug)]
pub(crate) struct PlannedTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) settings: TopicSettings,
    pub(crate) overrides: BTreeMap<String, String>,
}

/// Every topic of the broker.
pub(crate) struct Topics {
    defaults: TopicSettings,
    default_partitions: i32,
    clock: Clock,
    directory: PathBuf,
    /// Held while topics change, which writes to disk; readers look into the catalog meanwhile.
    data_dir: Mutex<DataDir>,
    catalog: RwLock<Catalog>,
}

#[derive(Default)]
struct Catalog {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

/// Why a topic is not created; worded as Kafka words it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateTopicError {
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    #[error("Topic '{name}' already exists.")]
    Exists { name: String },
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides { name: String, existing: String },
    #[error("Number of partitions was set to an invalid non-positive value.")]
    InvalidPartitions,
    #[error("{partitions} partitions are more than the {MAX_PARTITIONS} that a topic can have here")]
    TooManyPartitions { partitions: i32 },
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    NonPositiveReplicationFactor,
    #[error(
        "Unable to replicate the partition {replication_factor} time(s): The target replication factor of \
         {replication_factor} cannot be reached because only 1 broker(s) are registered."
    )]
    InvalidReplicationFactor { replication_factor: i16 },
    #[error(
        "A manual partition assignment was specified, but replication factor or numPartitions was not set to -1."
    )]
    CountsWithAssignment,
    #[error(
        "A manual assignment must number the partitions from 0, each once, and put each on broker {node_id} alone."
    )]
    InvalidAssignment { node_id: i32 },
    #[error("Null value not supported for topic configs: {name}")]
    NullConfig { name: String },
    #[error(transparent)]
    Config(#[from] InvalidTopicConfig),
    #[error(transparent)]
    Write(#[from] TopicWriteError),
}

impl CreateTopicError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            CreateTopicError::InvalidName(_) | CreateTopicError::Collides { .. } => {
                ErrorCode::InvalidTopicException
            }
            CreateTopicError::Exists { .. } => ErrorCode::TopicAlreadyExists,
            CreateTopicError::InvalidPartitions => ErrorCode::InvalidPartitions,
            CreateTopicError::TooManyPartitions { .. } => ErrorCode::PolicyViolation,
            CreateTopicError::NonPositiveReplicationFactor
            | CreateTopicError::InvalidReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
            CreateTopicError::CountsWithAssignment => ErrorCode::InvalidRequest,
            CreateTopicError::InvalidAssignment { .. } => ErrorCode::InvalidReplicaAssignment,
            CreateTopicError::NullConfig { .. } | CreateTopicError::Config(_) => ErrorCode::InvalidConfig,
            CreateTopicError::Write(error) => error.code(),
        }
    }
}

/// A topic setting that is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTopicConfig {
    #[error("Unknown topic config name: {name}")]
    Unknown { name: String },
    #[error(transparent)]
    Value(#[from] InvalidValue),
}

/// Why a change of topics did not reach the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicWriteError {
    #[error("This server does not host this topic-partition.")]
    Gone,
    #[error(transparent)]
    Log(#[from] OpenError),
}

impl TopicWriteError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            TopicWriteError::Gone => ErrorCode::UnknownTopicOrPartition,
            TopicWriteError::Log(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl Topics {
    pub(crate) fn open(data_dir: DataDir, settings: &BrokerSettings, clock: Clock) -> Topics {
        Topics {
            defaults: TopicSettings::from_broker(settings),
            default_partitions: settings.num_partitions,
            clock,
            directory: data_dir.path().to_owned(),
            data_dir: Mutex::new(data_dir),
            catalog: RwLock::default(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
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

    /// Checks a new topic without creating it.
    pub(crate) fn plan(&self, new: NewTopic) -> Result<PlannedTopic, CreateTopicError> {
        validate(&new.name)?;
        self.catalog.read().check_free(&new.name)?;
        let partitions = new.partitions.unwrap_or(self.default_partitions);
        match partitions {
            ..1 => return Err(CreateTopicError::InvalidPartitions),
            1..=MAX_PARTITIONS => {}
            _ => return Err(CreateTopicError::TooManyPartitions { partitions }),
        }
        let settings = self.resolve(&new.overrides)?;
        Ok(PlannedTopic { name: new.name, partitions, settings, overrides: new.overrides })
    }

    /// Creates a planned topic. It is in the catalog, and on disk, when this returns.
    pub(crate) fn carry_out(&self, planned: PlannedTopic) -> Result<Arc<Topic>, CreateTopicError> {
        let mut data_dir = self.data_dir.lock();
        // Somebody else may have taken the name since it was planned.
        self.catalog.read().check_free(&planned.name)?;
        let config = planned.settings.log_config();
        let now_ms = self.clock.now_ms();
        let created =
            data_dir.create_topic(&planned.name, planned.partitions, &planned.overrides, &config, now_ms);
        let (id, logs) = created.map_err(TopicWriteError::Log)?;
        let topic = Arc::new(Topic {
            name: TopicName(StrBytes::from_string(planned.name)),
            id,
            partitions: partitions(0, logs),
            settings: planned.settings,
            overrides: planned.overrides,
        });
        self.catalog.write().put(topic.clone());
        Ok(topic)
    }

    /// [`Topics::plan`] and [`Topics::carry_out`] in one.
    pub(crate) fn create(&self, new: NewTopic) -> Result<Arc<Topic>, CreateTopicError> {
        self.carry_out(self.plan(new)?)
    }

    /// Deletes a topic. Its files go when the last reader has let go of them.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), TopicWriteError> {
        let mut data_dir = self.data_dir.lock();
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        data_dir.delete_topic(&topic.name, topic.id)?;
        self.catalog.write().remove(&topic);
        for partition in &topic.partitions {
            partition.delete();
        }
        Ok(())
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn add_partitions(&self, topic: &Topic, count: i32) -> Result<(), TopicWriteError> {
        let mut data_dir = self.data_dir.lock();
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        let first = topic.partitions.len() as i32;
        let config = topic.settings.log_config();
        let logs =
            data_dir.add_partitions(&topic.name, topic.id, first..count, &config, self.clock.now_ms())?;
        let added = partitions(first, logs);
        let grown =
            Topic { partitions: topic.partitions.iter().cloned().chain(added).collect(), ..topic.copy() };
        self.catalog.write().put(Arc::new(grown));
        Ok(())
    }

    /// Gives a topic other settings, which hold from the next append on.
    pub(crate) fn reconfigure(
        &self,
        topic: &Topic,
        overrides: BTreeMap<String, String>,
        settings: TopicSettings,
    ) -> Result<(), TopicWriteError> {
        let mut data_dir = self.data_dir.lock();
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        data_dir.set_topic_configs(topic.id, &overrides)?;
        for partition in &topic.partitions {
            partition.log.set_config(settings.log_config());
        }
        self.catalog.write().put(Arc::new(Topic { overrides, settings, ..topic.copy() }));
        Ok(())
    }

    /// A producer id that nobody else has got, before or after a restart.
    pub(crate) fn new_producer_id(&self) -> Result<i64, TopicWriteError> {
        self.data_dir.lock().new_producer_id()
    }
}

impl Topic {
    fn copy(&self) -> Topic {
        Topic {
            name: self.name.clone(),
            id: self.id,
            partitions: self.partitions.clone(),
            settings: self.settings.clone(),
            overrides: self.overrides.clone(),
        }
    }
}

impl Catalog {
    fn check_free(&self, name: &str) -> Result<(), CreateTopicError> {
        if self.by_name.contains_key(name) {
            return Err(CreateTopicError::Exists { name: name.to_owned() });
        }
        let collision_form = collision_form(name);
        let mut names = self.by_name.keys();
        match names.find(|existing| crate::topic_name::collision_form(existing) == collision_form) {
            Some(existing) => {
                Err(CreateTopicError::Collides { name: name.to_owned(), existing: existing.clone() })
            }
            None => Ok(()),
        }
    }

    fn put(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.to_string(), topic);
    }

    fn remove(&mut self, topic: &Topic) {
        self.by_id.remove(&topic.id);
        self.by_name.remove(topic.name.as_str());
    }
}

fn partitions(first: i32, logs: Vec<Log>) -> Vec<Arc<Partition>> {
    logs.into_iter().zip(first..).map(|(log, index)| Arc::new(Partition::new(index, Arc::new(log)))).collect()
}
