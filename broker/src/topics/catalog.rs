//! Topics by name and by id, as they are at one moment.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    pub(super) names: Names,
}

impl Catalog {
    pub(super) fn put(&mut self, topic: Arc<Topic>) {
        self.names.insert(&topic.name);
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.to_string(), topic);
    }

    pub(super) fn remove(&mut self, topic: &Topic) {
        self.names.remove(&topic.name);
        self.by_id.remove(&topic.id);
        self.by_name.remove(topic.name.as_str());
    }
}

/// Names that are taken, and with them all that collide.
#[derive(Default)]
pub(super) struct Names {
    /// By the form in which they collide. Topics of one request can have the same.
    by_form: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    pub(super) fn check_free(&self, name: &str) -> Result<(), CreateTopicError> {
        let Some(alike) = self.by_form.get(&collision_form(name)) else { return Ok(()) };
        match alike.first() {
            _ if alike.contains(name) => Err(CreateTopicError::Exists { name: name.to_owned() }),
            Some(existing) => {
                Err(CreateTopicError::Collides { name: name.to_owned(), existing: existing.clone() })
            }
            None => Ok(()),
        }
    }

    pub(super) fn insert(&mut self, name: &str) {
        self.by_form.entry(collision_form(name)).or_default().insert(name.to_owned());
    }

    fn remove(&mut self, name: &str) {
        if let Entry::Occupied(mut alike) = self.by_form.entry(collision_form(name)) {
            alike.get_mut().remove(name);
            if alike.get().is_empty() {
                alike.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_again_when_the_last_that_collides_with_it_is_gone() {
        let mut names = Names::default();
        // As one request can make them.
        names.insert("a.b");
        names.insert("a_b");
        assert!(matches!(names.check_free("a_b"), Err(CreateTopicError::Exists { .. })));
        names.remove("a_b");
        assert!(
            matches!(names.check_free("a_b"), Err(CreateTopicError::Collides { existing, .. }) if existing == "a.b")
        );
        names.remove("a.b");
        assert!(names.check_free("a_b").is_ok() && names.by_form.is_empty());
    }
}
