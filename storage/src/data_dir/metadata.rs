//! What a broker knows about its topics, as an image that records change. Pure; `bootstrap.checkpoint` holds it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ottla_protocol::records::metadata::{
    ConfigRecord, ConfigResource, FeatureLevelRecord, MetadataRecord, OtherKind, OtherRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, TopicRecord,
};
use thiserror::Error;
use uuid::Uuid;

use crate::{config::Durability, log::TopicPartition};

/// Kafka's feature of that name must be the first record of a bootstrap file.
const METADATA_VERSION: &str = "metadata.version";

/// A feature that is never kept: with it, a Kafka that takes the directory over finds every partition without a leader,
/// for its broker was not the last to run, so its replica counts as out of sync.
const ELIGIBLE_LEADER_REPLICAS: &str = "eligible.leader.replicas.version";

/// The features that a directory made by Ottla is at: those of Kafka 4.3.
const FEATURES: [(&str, i16); 3] = [(METADATA_VERSION, 30), ("group.version", 1), ("transaction.version", 2)];

const FLUSH_SETTINGS: [&str; 2] = ["flush.messages", "flush.ms"];

/// A snapshot of all topics; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    features: BTreeMap<String, i16>,
    topics: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
    /// Of brokers and whatever else has settings, by name; the default for all has the empty name.
    configs: BTreeMap<(ConfigResource, String), BTreeMap<String, String>>,
    producer_ids: Option<ProducerIdsRecord>,
    /// What means nothing to Ottla and much to the Kafka that wrote it, in the order in which it was written: users,
    /// ACLs, quotas.
    carried: Vec<OtherRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub id: Uuid,
    pub partitions: BTreeMap<i32, PartitionRecord>,
    /// Only what was set for this topic.
    pub configs: BTreeMap<String, String>,
}

/// A record that does not fit what came before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    #[error("a record names topic id {topic_id}, but there is no such topic")]
    UnknownTopicId { topic_id: Uuid },
    #[error("a record names partition {partition} of topic {topic}, but there is no such partition")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("a record makes topic {topic}, which is there already")]
    TopicExists { topic: String },
}

impl Default for Metadata {
    /// No topics, Kafka 4.3's features.
    fn default() -> Metadata {
        let features = FEATURES.iter().map(|&(name, level)| (name.to_owned(), level)).collect();
        Metadata { features, ..Metadata::empty() }
    }
}

impl Metadata {
    /// The image before the first record, which has no features either.
    pub(super) fn empty() -> Metadata {
        Metadata {
            features: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: HashMap::new(),
            configs: BTreeMap::new(),
            producer_ids: None,
            carried: Vec::new(),
        }
    }

    /// Whether a cluster has begun with this image: its first record is the level of `metadata.version`.
    pub(super) fn is_bootstrapped(&self) -> bool {
        self.features.contains_key(METADATA_VERSION)
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_name(&self, id: Uuid) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// In alphabetical order.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &Arc<Topic>)> {
        self.topics.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    pub fn feature_levels(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// What was set at run time for the broker of that name; the empty name is the default for all.
    pub fn broker_configs(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.configs.get(&(ConfigResource::Broker, name.to_owned()))
    }

    /// What the directory's own files must survive: what was asked `for_all`, or more where records of some topic are
    /// promised to survive a power cut (`flush.messages`, `flush.ms`).
    pub(crate) fn durability(&self, for_all: Durability) -> Durability {
        let mut configs = self.topics.values().map(|topic| &topic.configs);
        let is_asked_for =
            configs.any(|configs| FLUSH_SETTINGS.iter().any(|name| configs.contains_key(*name)));
        if is_asked_for { Durability::Power } else { for_all }
    }

    /// The first producer id that was never given out.
    pub fn next_producer_id(&self) -> i64 {
        self.producer_ids.map_or(0, |record| record.next_producer_id)
    }

    /// Takes a record into account. Records that say nothing to one node change nothing.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), MetadataError> {
        match record {
            MetadataRecord::Topic(record) => self.add_topic(record)?,
            MetadataRecord::Partition(record) => {
                self.topic_mut(record.topic_id)?.partitions.insert(record.partition_id, record.clone());
            }
            MetadataRecord::PartitionChange(record) => self.change_partition(record)?,
            MetadataRecord::RemoveTopic(record) => {
                let topic_id = record.topic_id;
                let name = self.names.remove(&topic_id).ok_or(MetadataError::UnknownTopicId { topic_id })?;
                self.topics.remove(&name);
            }
            MetadataRecord::Config(record) => self.set_config(record),
            MetadataRecord::FeatureLevel(record) => self.set_feature(record),
            MetadataRecord::ProducerIds(record) => self.producer_ids = Some(*record),
            MetadataRecord::Other(record) if record.kind() == OtherKind::Administration => {
                self.carried.push(record.clone());
            }
            MetadataRecord::NoOp
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction
            | MetadataRecord::AbortTransaction(_)
            | MetadataRecord::Other(_) => {}
        }
        Ok(())
    }

    /// Makes this node the one replica of every partition, in its one directory, with a leader epoch that is later than
    /// any so far: the image's, and what `latest_epoch` knows. A leader that Kafka would elect anew begins one, too.
    pub(super) fn become_sole_replica(
        &mut self,
        node_id: i32,
        directory_id: Uuid,
        latest_epoch: impl Fn(&TopicPartition) -> Option<i32>,
    ) {
        for (name, topic) in &mut self.topics {
            for (&partition, record) in &mut Arc::make_mut(topic).partitions {
                let latest = latest_epoch(&TopicPartition { topic: name.clone(), partition });
                *record = PartitionRecord {
                    leader_epoch: record.leader_epoch.max(latest.unwrap_or(-1)).saturating_add(1),
                    partition_epoch: record.partition_epoch.saturating_add(1),
                    ..PartitionRecord::of_one_node(record.topic_id, partition, node_id, directory_id)
                };
            }
        }
    }

    /// The records that make this image out of nothing, in an order that Kafka can replay.
    pub fn records(&self) -> Vec<MetadataRecord> {
        let mut records: Vec<_> = self.features.iter().map(|(name, level)| feature(name, *level)).collect();
        records.sort_by_key(|record| !is_metadata_version(record));
        for (name, topic) in &self.topics {
            records.push(MetadataRecord::Topic(TopicRecord { name: name.clone(), topic_id: topic.id }));
            records.extend(topic.partitions.values().cloned().map(MetadataRecord::Partition));
            records.extend(configs(ConfigResource::Topic, name, &topic.configs));
        }
        for ((resource, name), settings) in &self.configs {
            records.extend(configs(*resource, name, settings));
        }
        records.extend(self.carried.iter().cloned().map(MetadataRecord::Other));
        records.extend(self.producer_ids.map(MetadataRecord::ProducerIds));
        records
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), MetadataError> {
        if self.topics.contains_key(&record.name) {
            return Err(MetadataError::TopicExists { topic: record.name.clone() });
        }
        let topic = Topic { id: record.topic_id, partitions: BTreeMap::new(), configs: BTreeMap::new() };
        self.topics.insert(record.name.clone(), Arc::new(topic));
        self.names.insert(record.topic_id, record.name.clone());
        Ok(())
    }

    fn change_partition(&mut self, change: &PartitionChangeRecord) -> Result<(), MetadataError> {
        let topic = self.topic_name(change.topic_id).unwrap_or_default().to_owned();
        let partitions = &mut self.topic_mut(change.topic_id)?.partitions;
        let Some(partition) = partitions.get_mut(&change.partition_id) else {
            return Err(MetadataError::UnknownPartition { topic, partition: change.partition_id });
        };
        partition.isr = change.isr.clone().unwrap_or_else(|| partition.isr.clone());
        partition.replicas = change.replicas.clone().unwrap_or_else(|| partition.replicas.clone());
        partition.directories = change.directories.clone().unwrap_or_else(|| partition.directories.clone());
        if let Some(leader) = change.leader {
            partition.leader = leader;
            partition.leader_epoch += 1;
        }
        partition.partition_epoch += 1;
        Ok(())
    }

    fn set_feature(&mut self, record: &FeatureLevelRecord) {
        match record.feature_level {
            _ if record.name == ELIGIBLE_LEADER_REPLICAS => {}
            0 => drop(self.features.remove(&record.name)),
            level => drop(self.features.insert(record.name.clone(), level)),
        }
    }

    fn set_config(&mut self, record: &ConfigRecord) {
        let settings = match record.resource {
            // Kafka, too, lets a setting of a topic stand that is gone.
            ConfigResource::Topic => match self.topics.get_mut(&record.resource_name) {
                Some(topic) => &mut Arc::make_mut(topic).configs,
                None => return,
            },
            resource => self.configs.entry((resource, record.resource_name.clone())).or_default(),
        };
        match &record.value {
            Some(value) => settings.insert(record.name.clone(), value.clone()),
            None => settings.remove(&record.name),
        };
    }

    fn topic_mut(&mut self, topic_id: Uuid) -> Result<&mut Topic, MetadataError> {
        let topic = self.names.get(&topic_id).and_then(|name| self.topics.get_mut(name));
        topic.map(Arc::make_mut).ok_or(MetadataError::UnknownTopicId { topic_id })
    }
}

fn feature(name: &str, feature_level: i16) -> MetadataRecord {
    MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.to_owned(), feature_level })
}

fn is_metadata_version(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::FeatureLevel(record) if record.name == METADATA_VERSION)
}

fn configs(
    resource: ConfigResource,
    resource_name: &str,
    settings: &BTreeMap<String, String>,
) -> impl Iterator<Item = MetadataRecord> {
    settings.iter().map(move |(name, value)| {
        MetadataRecord::Config(ConfigRecord {
            resource,
            resource_name: resource_name.to_owned(),
            name: name.clone(),
            value: Some(value.clone()),
        })
    })
}

#[cfg(test)]
mod tests {
    use ottla_protocol::records::metadata::RemoveTopicRecord;

    use super::*;

    const ID: Uuid = Uuid::from_u128(5);

    fn partition(partition_id: i32) -> PartitionRecord {
        PartitionRecord {
            partition_id,
            topic_id: ID,
            replicas: vec![1],
            isr: vec![1],
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid::from_u128(9)],
        }
    }

    fn topic() -> MetadataRecord {
        MetadataRecord::Topic(TopicRecord { name: "t".to_owned(), topic_id: ID })
    }

    fn config(value: Option<&str>) -> MetadataRecord {
        MetadataRecord::Config(ConfigRecord {
            resource: ConfigResource::Topic,
            resource_name: "t".to_owned(),
            name: "segment.bytes".to_owned(),
            value: value.map(str::to_owned),
        })
    }

    fn image(records: &[MetadataRecord]) -> Metadata {
        let mut metadata = Metadata::default();
        records.iter().for_each(|record| metadata.apply(record).unwrap());
        metadata
    }

    #[test]
    fn an_image_is_made_again_from_its_records() {
        let metadata = image(&[
            topic(),
            MetadataRecord::Partition(partition(0)),
            MetadataRecord::Partition(partition(1)),
            config(Some("1000")),
            MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id: 1,
                broker_epoch: 0,
                next_producer_id: 1000,
            }),
        ]);
        assert!(is_metadata_version(&metadata.records()[0]));
        assert_eq!(image(&metadata.records()), metadata);
        assert_eq!(metadata.next_producer_id(), 1000);
    }

    #[test]
    fn a_removed_topic_takes_everything_along() {
        let mut metadata = image(&[topic(), MetadataRecord::Partition(partition(0)), config(Some("1"))]);
        metadata.apply(&MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: ID })).unwrap();
        assert_eq!(metadata, Metadata::default());
    }

    #[test]
    fn records_that_do_not_fit_are_named() {
        let mut metadata = Metadata::default();
        let unknown = metadata.apply(&MetadataRecord::Partition(partition(0)));
        assert_eq!(unknown, Err(MetadataError::UnknownTopicId { topic_id: ID }));
        metadata.apply(&topic()).unwrap();
        assert_eq!(metadata.apply(&topic()), Err(MetadataError::TopicExists { topic: "t".to_owned() }));
    }

    #[test]
    fn a_new_leader_begins_an_epoch_and_a_setting_can_be_taken_back() {
        let change =
            PartitionChangeRecord { topic_id: ID, leader: Some(1), ..PartitionChangeRecord::default() };
        let metadata = image(&[
            topic(),
            MetadataRecord::Partition(partition(0)),
            MetadataRecord::PartitionChange(change),
            config(Some("1")),
            config(None),
        ]);
        let topic = metadata.topic("t").unwrap();
        assert_eq!((topic.partitions[&0].leader, topic.partitions[&0].leader_epoch), (1, 1));
        assert!(topic.configs.is_empty());
    }
}
