//! Topics by name and by id, as they are at one moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottla_protocol::messages::TopicName;
use uuid::Uuid;

use crate::config::TopicSettings;
use crate::partition::Partition;
use crate::topic_name::collision_form;
use crate::topics::CreateTopicError;

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

    /// The same topic, to be changed and put in its place.
    pub(super) fn copy(&self) -> Topic {
        Topic {
            name: self.name.clone(),
            id: self.id,
            partitions: self.partitions.clone(),
            settings: self.settings.clone(),
            overrides: self.overrides.clone(),
        }
    }
}

/// Every topic there is.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) by_name: BTreeMap<String, Arc<Topic>>,
    pub(super) by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Catalog {
    pub(super) fn check_free(&self, name: &str) -> Result<(), CreateTopicError> {
        if self.by_name.contains_key(name) {
            return Err(CreateTopicError::Exists { name: name.to_owned() });
        }
        let form = collision_form(name);
        let mut names = self.by_name.keys();
        match names.find(|existing| collision_form(existing) == form) {
            Some(existing) => {
                Err(CreateTopicError::Collides { name: name.to_owned(), existing: existing.clone() })
            }
            None => Ok(()),
        }
    }

    pub(super) fn put(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.to_string(), topic);
    }

    pub(super) fn remove(&mut self, topic: &Topic) {
        self.by_id.remove(&topic.id);
        self.by_name.remove(topic.name.as_str());
    }
}
