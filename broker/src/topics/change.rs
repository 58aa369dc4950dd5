//! How topics come, change and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_storage::kafka_uuid;
use parking_lot::MutexGuard;

use super::store::NewPartitions;
use super::{CreateTopicError, Lifecycle, MAX_PARTITIONS, Topic, TopicWriteError, Topics};
use crate::config::TopicSettings;
use crate::topic_name::validate;

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

impl Topics {
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
        let _changing = self.change()?;
        let PlannedTopic { name, partitions, settings, overrides } = planned;
        // Somebody else may have taken the name since it was planned.
        self.catalog.read().check_free(&name)?;
        let id = kafka_uuid::random();
        let new = NewPartitions {
            topic: &name,
            topic_id: id,
            indexes: 0..partitions,
            config: settings.log_config(),
        };
        let partitions = self.store.create_topic(new, &overrides)?;
        let topic = Arc::new(Topic {
            name: TopicName(StrBytes::from_string(name)),
            id,
            partitions,
            settings,
            overrides,
        });
        self.catalog.write().put(topic.clone());
        tracing::info!(topic = &**topic.name, partitions = topic.partitions.len(), "created");
        Ok(topic)
    }

    /// [`Topics::plan`] and [`Topics::carry_out`] in one.
    pub(crate) fn create(&self, new: NewTopic) -> Result<Arc<Topic>, CreateTopicError> {
        self.carry_out(self.plan(new)?)
    }

    /// Deletes a topic. Its files go when the last reader has let go of them.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), TopicWriteError> {
        let _changing = self.change()?;
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        self.store.remove_topic(topic.id)?;
        self.catalog.write().remove(&topic);
        topic.partitions.iter().for_each(|partition| partition.delete());
        // A topic of the same name must not be taken for compacted.
        if topic.partitions.iter().any(|partition| partition.log.cleaned_to().is_some())
            && let Err(error) = self.store.write_cleaner_checkpoint(&self.partitions())
        {
            tracing::warn!("{error}; it still says how far {} was compacted", &**topic.name);
        }
        tracing::info!(topic = &**topic.name, "deleted");
        Ok(())
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn add_partitions(&self, topic: &Topic, count: i32) -> Result<(), TopicWriteError> {
        let _changing = self.change()?;
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        let indexes = topic.partitions.len() as i32..count;
        let config = topic.settings.log_config();
        let added = NewPartitions { topic: &topic.name, topic_id: topic.id, indexes, config };
        let added = self.store.add_partitions(added)?;
        let partitions = topic.partitions.iter().cloned().chain(added).collect();
        self.catalog.write().put(Arc::new(Topic { partitions, ..topic.copy() }));
        Ok(())
    }

    /// Gives a topic other settings, which hold from the next append on.
    pub(crate) fn reconfigure(
        &self,
        topic: &Topic,
        overrides: BTreeMap<String, String>,
        settings: TopicSettings,
    ) -> Result<(), TopicWriteError> {
        let _changing = self.change()?;
        let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
        self.store.set_overrides(&topic.name, &topic.overrides, &overrides)?;
        for partition in &topic.partitions {
            partition.log.set_config(settings.log_config());
        }
        self.catalog.write().put(Arc::new(Topic { overrides, settings, ..topic.copy() }));
        self.store.cleaner.wake();
        Ok(())
    }

    /// Takes the right to change topics, as long as the directory is ours.
    pub(super) fn change(&self) -> Result<MutexGuard<'_, Lifecycle>, TopicWriteError> {
        let changing = self.changing.lock();
        if *changing == Lifecycle::Open { Ok(changing) } else { Err(TopicWriteError::Closed) }
    }
}
