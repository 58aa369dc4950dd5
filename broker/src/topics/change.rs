//! How topics come, change and go.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_storage::kafka_uuid;
use parking_lot::MutexGuard;
use uuid::Uuid;

use super::store::{Made, NewPartitions};
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

/// A topic as it is to be, with partitions that nobody knows of yet.
struct Draft {
    topic: Arc<Topic>,
    made: Made,
}

impl Topics {
    /// Checks a new topic without creating it.
    pub(crate) fn plan(&self, new: NewTopic) -> Result<PlannedTopic, CreateTopicError> {
        validate(&new.name)?;
        self.catalog.read().names.check_free(&new.name)?;
        let partitions = new.partitions.unwrap_or(self.default_partitions);
        match partitions {
            ..1 => return Err(CreateTopicError::InvalidPartitions),
            1..=MAX_PARTITIONS => {}
            _ => return Err(CreateTopicError::TooManyPartitions { partitions }),
        }
        let settings = self.resolve(&new.overrides)?;
        Ok(PlannedTopic { name: new.name, partitions, settings, overrides: new.overrides })
    }

    /// Refuses what would make more partitions in one request than Kafka makes. `None` asks for the broker's default.
    pub(crate) fn check_partition_total(
        &self,
        counts: impl Iterator<Item = Option<i32>>,
    ) -> Result<(), CreateTopicError> {
        let counts = counts.map(|count| i64::from(count.unwrap_or(self.default_partitions).max(0)));
        if counts.sum::<i64>() > i64::from(MAX_PARTITIONS) {
            return Err(CreateTopicError::TooManyPartitionsInRequest);
        }
        Ok(())
    }

    /// Creates what could be planned with one write of the metadata; what becomes of each is in the same place. A topic
    /// that is created is in the catalog, and on disk, when this returns.
    pub(crate) fn carry_out(
        &self,
        plans: Vec<Result<PlannedTopic, CreateTopicError>>,
    ) -> Vec<Result<Arc<Topic>, CreateTopicError>> {
        let Ok(_changing) = self.change() else {
            return plans.into_iter().map(|plan| plan.and(Err(TopicWriteError::Closed.into()))).collect();
        };
        let mut taken = HashSet::new();
        let drafts = plans.into_iter().map(|plan| {
            let planned = plan?;
            // Somebody else may have taken the name since it was planned.
            self.catalog.read().names.check_free(&planned.name)?;
            // That names of one request collide with each other Kafka does not mind.
            if !taken.insert(planned.name.clone()) {
                return Err(CreateTopicError::Exists { name: planned.name });
            }
            Ok(self.draft(planned)?)
        });
        let created = self.publish(drafts.collect());
        for topic in created.iter().flatten() {
            tracing::info!(topic = &**topic.name, partitions = topic.partitions.len(), "created");
        }
        created
    }

    /// [`Topics::plan`] and [`Topics::carry_out`] in one.
    pub(crate) fn create(&self, new: NewTopic) -> Result<Arc<Topic>, CreateTopicError> {
        self.carry_out(vec![self.plan(new)]).remove(0)
    }

    fn draft(&self, planned: PlannedTopic) -> Result<Draft, TopicWriteError> {
        let PlannedTopic { name, partitions, settings, overrides } = planned;
        let id = kafka_uuid::random();
        let config = settings.log_config();
        let new = NewPartitions { topic: &name, topic_id: id, indexes: 0..partitions, config };
        let made = self.store.make_topic(&new, &overrides)?;
        let (name, partitions) = (TopicName(StrBytes::from_string(name)), made.partitions.clone());
        Ok(Draft { topic: Arc::new(Topic { name, id, partitions, settings, overrides }), made })
    }

    /// Deletes topics with one write of the metadata; what became of each is in the same place. Their files go when the
    /// last reader has let go of them.
    pub(crate) fn delete(&self, topics: &[Arc<Topic>]) -> Vec<Result<(), TopicWriteError>> {
        let Ok(_changing) = self.change() else {
            return topics.iter().map(|_| Err(TopicWriteError::Closed)).collect();
        };
        let mut going = BTreeMap::new();
        let found = topics.iter().map(|topic| {
            let topic = self.by_id(topic.id).ok_or(TopicWriteError::Gone)?;
            going.insert(topic.id, topic).map_or(Ok(()), |_| Err(TopicWriteError::Gone))
        });
        let found: Vec<_> = found.collect();
        if let Err(error) = self.store.remove_topics(going.keys().copied()) {
            let failed = |()| Err(TopicWriteError::DataDir(Arc::clone(&error)));
            return found.into_iter().map(|found| found.and_then(failed)).collect();
        }
        self.let_go(&going.into_values().collect::<Vec<_>>());
        found
    }

    /// Forgets topics that the metadata no longer names, and removes their files.
    fn let_go(&self, topics: &[Arc<Topic>]) {
        let mut catalog = self.catalog.write();
        topics.iter().for_each(|topic| catalog.remove(topic));
        drop(catalog);
        let gone = || topics.iter().flat_map(|topic| &topic.partitions);
        gone().for_each(|partition| partition.delete());
        // A topic of the same name must not be taken for compacted.
        if gone().any(|partition| partition.log.cleaned_to().is_some())
            && let Err(error) = self.store.write_cleaner_checkpoint(&self.partitions())
        {
            tracing::warn!("{error}; it still says how far topics were compacted that are deleted now");
        }
        topics.iter().for_each(|topic| tracing::info!(topic = &**topic.name, "deleted"));
    }

    /// Adds partitions to what could be planned, until each topic has the count beside it, with one write of the
    /// metadata; what becomes of each is in the same place. A topic may be named once.
    pub(crate) fn add_partitions<E: From<TopicWriteError>>(
        &self,
        plans: Vec<Result<(Arc<Topic>, i32), E>>,
    ) -> Vec<Result<Arc<Topic>, E>> {
        let Ok(_changing) = self.change() else {
            return plans.into_iter().map(|plan| plan.and(Err(TopicWriteError::Closed.into()))).collect();
        };
        let drafts = plans.into_iter().map(|plan| {
            let (topic, count) = plan?;
            Ok(self.draft_growth(topic.id, count)?)
        });
        self.publish(drafts.collect())
    }

    fn draft_growth(&self, topic_id: Uuid, count: i32) -> Result<Draft, TopicWriteError> {
        let topic = self.by_id(topic_id).ok_or(TopicWriteError::Gone)?;
        let indexes = topic.partitions.len() as i32..count;
        let config = topic.settings.log_config();
        let made =
            self.store.make_partitions(&NewPartitions { topic: &topic.name, topic_id, indexes, config })?;
        let partitions = topic.partitions.iter().chain(&made.partitions).cloned().collect();
        Ok(Draft { topic: Arc::new(Topic { partitions, ..topic.copy() }), made })
    }

    /// Makes drafts known with one write of the metadata: all of them, or none.
    fn publish<E: From<TopicWriteError>>(&self, drafts: Vec<Result<Draft, E>>) -> Vec<Result<Arc<Topic>, E>> {
        let committed = self.store.commit_made(drafts.iter().flatten().map(|draft| &draft.made));
        if committed.is_ok() {
            let mut catalog = self.catalog.write();
            drafts.iter().flatten().for_each(|draft| catalog.put(Arc::clone(&draft.topic)));
        }
        let outcome = |draft: Draft| match &committed {
            Ok(()) => Ok(draft.topic),
            Err(error) => Err(TopicWriteError::DataDir(Arc::clone(error)).into()),
        };
        drafts.into_iter().map(|draft| draft.and_then(outcome)).collect()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use ottla_protocol::ErrorCode;
    use ottla_storage::DataDir;

    use super::*;
    use crate::clock::Clock;
    use crate::config::BrokerSettings;

    fn open(dir: &Path) -> Topics {
        let data_dir = DataDir::open(dir, 1, ottla_storage::Durability::Process).unwrap();
        Topics::open(data_dir, &BrokerSettings::default(), Clock::manual(1_000)).unwrap()
    }

    fn plans(topics: &Topics, names: &[&str]) -> Vec<Result<PlannedTopic, CreateTopicError>> {
        names.iter().map(|name| topics.plan(NewTopic::with_defaults(name))).collect()
    }

    fn codes<T, E>(outcomes: Vec<Result<T, E>>, code: impl Fn(&E) -> ErrorCode) -> Vec<Option<ErrorCode>> {
        outcomes.into_iter().map(|outcome| outcome.err().map(|error| code(&error))).collect()
    }

    /// While it is there, the metadata cannot be written.
    fn block_metadata(dir: &Path) {
        fs::create_dir(dir.join("bootstrap.checkpoint.tmp")).unwrap();
    }

    fn unblock_metadata(dir: &Path) {
        fs::remove_dir(dir.join("bootstrap.checkpoint.tmp")).unwrap();
    }

    #[test]
    fn topics_whose_metadata_cannot_be_written_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        block_metadata(dir.path());
        let failed = topics.carry_out(plans(&topics, &["a", "not/a/name", "b"]));
        let (storage, invalid) = (Some(ErrorCode::KafkaStorageError), Some(ErrorCode::InvalidTopicException));
        assert_eq!(codes(failed, CreateTopicError::code), [storage, invalid, storage]);
        assert!(
            topics.all().is_empty() && !dir.path().join("a-0").exists() && !dir.path().join("b-0").exists()
        );
        unblock_metadata(dir.path());
        let created = topics.carry_out(plans(&topics, &["a", "b"]));
        assert_eq!(codes(created, CreateTopicError::code), [None, None]);
    }

    #[test]
    fn a_log_that_cannot_be_made_concerns_its_own_topic_alone() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        fs::create_dir(dir.path().join("b-0")).unwrap();
        let outcomes = topics.carry_out(plans(&topics, &["a", "b", "c"]));
        assert_eq!(codes(outcomes, CreateTopicError::code), [None, Some(ErrorCode::KafkaStorageError), None]);
        topics.close().unwrap();
        let names: Vec<_> = open(dir.path()).all().iter().map(|topic| topic.name.to_string()).collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn where_the_metadata_cannot_be_written_topics_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let topics = open(dir.path());
        let created: Vec<_> = topics.carry_out(plans(&topics, &["a", "b"])).into_iter().flatten().collect();
        block_metadata(dir.path());
        let storage = Some(ErrorCode::KafkaStorageError);
        assert_eq!(codes(topics.delete(&created), TopicWriteError::code), [storage, storage]);
        let more = created.iter().map(|topic| Ok((Arc::clone(topic), 3))).collect();
        assert_eq!(codes(topics.add_partitions(more), TopicWriteError::code), [storage, storage]);
        assert!(topics.has_partition("a", 0) && !topics.has_partition("a", 1));
        assert!(!dir.path().join("a-1").exists());
        unblock_metadata(dir.path());
        assert_eq!(codes(topics.delete(&created), TopicWriteError::code), [None, None]);
        let gone = Some(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(codes(topics.delete(&created), TopicWriteError::code), [gone, gone]);
    }
}
