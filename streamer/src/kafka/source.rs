//! Which offsets there are: where a query begins, how far it can read, and what was lost.
//! Spark's `KafkaOffsetReaderAdmin`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_client::{Client, Fetch, FetchPartition, OffsetSpec, RequestError};
use ottla_protocol::ErrorCode;
use thiserror::Error;

use super::offsets::{PartitionOffsets, TopicPartition};
use super::options::{EARLIEST, KafkaOptions, LATEST, NoMatch, StartingOffsets, Subscription};

/// One stream of the query.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    client: Client,
    options: KafkaOptions,
}

/// What a batch reads of one partition: `from` and up to, without, `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    pub partition: TopicPartition,
    pub from: i64,
    pub to: i64,
}

#[derive(Debug, Error)]
pub enum KafkaSourceError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(
        "topic {topic} does not exist at {servers}; create it (`ottla topics create {topic}`) or write to it first"
    )]
    UnknownTopic { topic: String, servers: String },
    #[error("the offsets of {partition} cannot be read: {code:?}")]
    Partition { partition: TopicPartition, code: ErrorCode },
    #[error(
        "If startingOffsets contains specific offsets, you must specify all TopicPartitions. Use -1 for latest, -2 for \
         earliest, if you don't care. Specified: {specified} Assigned: {assigned}"
    )]
    StartingPartitions { specified: String, assigned: String },
    #[error("No offset matched from request of topic-partition {partition} and timestamp {ms}.")]
    NoOffsetForTimestamp { partition: TopicPartition, ms: i64 },
    /// Spark's KAFKA_DATA_LOSS, for `failOnDataLoss`.
    #[error(
        "[KAFKA_DATA_LOSS.{class}] Some data may have been lost because they are not available in Kafka any more; either \
         the data was aged out by Kafka or the topic may have been deleted before all the data in the topic was \
         processed. If you don't want your streaming query to fail on such cases, set the source option failOnDataLoss \
         to false. Reason: {what}",
        class = loss.class()
    )]
    DataLoss { loss: Loss, what: String },
}

/// How it shows that data was lost: the subclasses of Spark's KAFKA_DATA_LOSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    PartitionsDeleted,
    AddedPartitionStartsLate,
    OffsetChanged,
    RangeUnreadable,
}

impl Loss {
    fn class(self) -> &'static str {
        match self {
            Loss::PartitionsDeleted => "PARTITIONS_DELETED",
            Loss::AddedPartitionStartsLate => "ADDED_PARTITION_DOES_NOT_START_FROM_OFFSET_ZERO",
            Loss::OffsetChanged => "PARTITION_OFFSET_CHANGED",
            Loss::RangeUnreadable => "COULD_NOT_READ_OFFSET_RANGE",
        }
    }
}

impl KafkaSource {
    pub fn new(client: Client, options: KafkaOptions) -> KafkaSource {
        KafkaSource { client, options }
    }

    pub fn options(&self) -> &KafkaOptions {
        &self.options
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// As Spark describes the source in its progress.
    pub fn description(&self) -> String {
        self.options.description()
    }

    /// Where a query without a checkpoint begins.
    pub async fn starting_offsets(&self) -> Result<PartitionOffsets, KafkaSourceError> {
        self.offsets_at(&self.options.starting).await
    }

    pub(super) async fn offsets_at(
        &self,
        place: &StartingOffsets,
    ) -> Result<PartitionOffsets, KafkaSourceError> {
        let assigned = self.partitions().await?;
        match place {
            StartingOffsets::Earliest => self.list(&assigned, |_| OffsetSpec::Earliest).await,
            StartingOffsets::Latest => self.list(&assigned, |_| OffsetSpec::Latest).await,
            StartingOffsets::Specific(offsets) => {
                check_all_specified(&assigned, offsets)?;
                self.resolve_special(offsets.clone()).await
            }
            StartingOffsets::Timestamp { ms, no_match } => {
                let all = assigned.iter().map(|partition| (partition.clone(), *ms)).collect();
                self.offsets_for_timestamps(&PartitionOffsets(all), *no_match).await
            }
            StartingOffsets::TimestampPerPartition { ms, no_match } => {
                check_all_specified(&assigned, ms)?;
                self.offsets_for_timestamps(ms, *no_match).await
            }
        }
    }

    /// The ends of all partitions that there are, and the beginnings of those that `known` lacks.
    pub async fn latest_offsets(&self, known: &PartitionOffsets) -> Result<LatestOffsets, KafkaSourceError> {
        let partitions = match self.partitions().await {
            Err(KafkaSourceError::UnknownTopic { topic, .. })
                if !known.0.is_empty() && !self.options.fail_on_data_loss =>
            {
                tracing::warn!("topic {topic} is gone; failOnDataLoss is false, so the query waits for it");
                return Ok(LatestOffsets { ends: known.clone(), beginnings: PartitionOffsets::default() });
            }
            partitions => partitions?,
        };
        let added: BTreeSet<_> =
            partitions.iter().filter(|partition| !known.0.contains_key(*partition)).cloned().collect();
        let (ends, beginnings) = tokio::try_join!(
            self.list(&partitions, |_| OffsetSpec::Latest),
            self.list(&added, |_| OffsetSpec::Earliest),
        )?;
        Ok(LatestOffsets { ends, beginnings })
    }

    /// The ranges of a batch, empty ones left out; the place for Spark's checks of data loss.
    pub async fn ranges(
        &self,
        from: &PartitionOffsets,
        to: &PartitionOffsets,
    ) -> Result<Vec<OffsetRange>, KafkaSourceError> {
        let gone: Vec<_> = from.0.keys().filter(|partition| !to.0.contains_key(*partition)).collect();
        if !gone.is_empty() {
            let what = format!("Partitions {} have been deleted.", joined(gone));
            self.report_data_loss(Loss::PartitionsDeleted, what)?;
        }
        let added = to.0.keys().filter(|partition| !from.0.contains_key(*partition)).cloned().collect();
        let beginnings = self.list(&added, |_| OffsetSpec::Earliest).await?;
        for (partition, offset) in beginnings.0.iter().filter(|(_, offset)| **offset != 0) {
            let what = format!("Added partition {partition} starts from {offset} instead of 0.");
            self.report_data_loss(Loss::AddedPartitionStartsLate, what)?;
        }
        let mut ranges = Vec::new();
        for (partition, to) in &to.0 {
            let Some(from) = from.0.get(partition).or_else(|| beginnings.0.get(partition)) else {
                continue;
            };
            if to < from {
                let what = format!(
                    "Partition {partition} offset was changed from {from} to {to}. The start offset is beyond the \
                     available ones, or the topic was deleted and created again."
                );
                self.report_data_loss(Loss::OffsetChanged, what)?;
            }
            if from < to {
                ranges.push(OffsetRange { partition: partition.clone(), from: *from, to: *to });
            }
        }
        Ok(ranges)
    }

    pub async fn log_start_offset(&self, partition: &TopicPartition) -> Result<i64, KafkaSourceError> {
        let listed = self.list(&BTreeSet::from([partition.clone()]), |_| OffsetSpec::Earliest).await?;
        Ok(listed.0.get(partition).copied().unwrap_or_default())
    }

    /// Returns when there is a record behind `offsets`, or after `max_wait`: the broker answers as soon as one comes.
    pub async fn wait_for_records(
        &self,
        offsets: &PartitionOffsets,
        max_wait: Duration,
    ) -> Result<(), KafkaSourceError> {
        let partitions = offsets.0.iter().map(|(partition, offset)| FetchPartition {
            topic: partition.topic.clone(),
            partition: partition.partition,
            offset: *offset,
            max_bytes: 1,
        });
        let fetch = Fetch {
            partitions: partitions.collect(),
            max_wait,
            min_bytes: 1,
            max_bytes: 1,
            isolation_level: self.options.isolation_level,
        };
        let started = tokio::time::Instant::now();
        let has_answer = if fetch.partitions.is_empty() {
            false
        } else {
            self.client.fetch(&fetch).await?.iter().any(|partition| partition.error.is_none())
        };
        if !has_answer {
            // The broker does not wait where a topic is gone.
            tokio::time::sleep_until(started + max_wait).await;
        }
        Ok(())
    }

    /// Fails, or warns where the query is to go on all the same.
    pub fn report_data_loss(&self, loss: Loss, what: String) -> Result<(), KafkaSourceError> {
        if self.options.fail_on_data_loss {
            return Err(KafkaSourceError::DataLoss { loss, what });
        }
        tracing::warn!("{what} Some data may have been lost; failOnDataLoss is false, so the query goes on");
        Ok(())
    }

    async fn partitions(&self) -> Result<BTreeSet<TopicPartition>, KafkaSourceError> {
        match &self.options.subscription {
            Subscription::Assign(partitions) => Ok(partitions.iter().cloned().collect()),
            Subscription::Subscribe(topics) => self.partitions_of(topics).await,
            Subscription::SubscribePattern(pattern) => {
                let metadata = self.client.all_metadata().await?;
                let names = metadata.topics.iter().map(|topic| topic.name.clone());
                self.partitions_of(&names.filter(|name| pattern.is_match(name)).collect::<Vec<_>>()).await
            }
        }
    }

    async fn partitions_of(&self, topics: &[String]) -> Result<BTreeSet<TopicPartition>, KafkaSourceError> {
        if topics.is_empty() {
            return Ok(BTreeSet::new());
        }
        let names: Vec<_> = topics.iter().map(String::as_str).collect();
        let metadata = self.client.metadata(&names).await?;
        let mut partitions = BTreeSet::new();
        for name in topics {
            let topic = metadata.topic(name).filter(|topic| topic.error.is_none());
            let topic = topic.ok_or_else(|| KafkaSourceError::UnknownTopic {
                topic: name.clone(),
                servers: self.options.bootstrap_servers.clone(),
            })?;
            partitions
                .extend(topic.partitions.iter().map(|partition| TopicPartition::new(name, partition.index)));
        }
        Ok(partitions)
    }

    async fn list(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        spec: impl Fn(&TopicPartition) -> OffsetSpec,
    ) -> Result<PartitionOffsets, KafkaSourceError> {
        let listed = self.list_optional(partitions, spec).await?;
        let offsets = listed.into_iter().map(|(partition, offset)| (partition, offset.unwrap_or(0)));
        Ok(PartitionOffsets(offsets.collect()))
    }

    async fn list_optional(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        spec: impl Fn(&TopicPartition) -> OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Option<i64>>, KafkaSourceError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let wanted: Vec<_> = partitions
            .iter()
            .map(|partition| (partition.topic.as_str(), partition.partition, spec(partition)))
            .collect();
        let listed = self.client.list_offsets_isolated(&wanted, self.options.isolation_level).await?;
        let offsets = listed
            .into_iter()
            .map(|listed| (TopicPartition::new(listed.topic, listed.partition), listed.offset));
        Ok(offsets.collect())
    }

    async fn resolve_special(
        &self,
        mut offsets: PartitionOffsets,
    ) -> Result<PartitionOffsets, KafkaSourceError> {
        for (special, spec) in [(LATEST, OffsetSpec::Latest), (EARLIEST, OffsetSpec::Earliest)] {
            let wanted = offsets.0.iter().filter(|(_, offset)| **offset == special);
            let wanted = wanted.map(|(partition, _)| partition.clone()).collect();
            offsets.0.extend(self.list(&wanted, |_| spec).await?.0);
        }
        Ok(offsets)
    }

    async fn offsets_for_timestamps(
        &self,
        timestamps: &PartitionOffsets,
        no_match: NoMatch,
    ) -> Result<PartitionOffsets, KafkaSourceError> {
        let partitions = timestamps.0.keys().cloned().collect();
        let timestamp = |partition: &TopicPartition| timestamps.0.get(partition).copied().unwrap_or_default();
        let found =
            self.list_optional(&partitions, |partition| OffsetSpec::Timestamp(timestamp(partition))).await?;
        let mut offsets = PartitionOffsets::default();
        for (partition, offset) in found {
            let offset = match (offset, no_match) {
                (Some(offset), _) => offset,
                (None, NoMatch::Latest) => LATEST,
                (None, NoMatch::Error) => {
                    let ms = timestamp(&partition);
                    return Err(KafkaSourceError::NoOffsetForTimestamp { partition, ms });
                }
            };
            offsets.0.insert(partition, offset);
        }
        self.resolve_special(offsets).await
    }
}

impl KafkaOptions {
    /// The source as Spark's progress has it.
    pub fn description(&self) -> String {
        let strategy = match &self.subscription {
            Subscription::Assign(partitions) => format!("Assign[{}]", joined(partitions)),
            Subscription::Subscribe(topics) => format!("Subscribe[{}]", topics.join(", ")),
            Subscription::SubscribePattern(pattern) => format!("SubscribePattern[{pattern}]"),
        };
        format!("KafkaV2[{strategy}]")
    }
}

/// How far a query can read.
#[derive(Clone, Debug, Default)]
pub struct LatestOffsets {
    pub ends: PartitionOffsets,
    /// Where the partitions begin that were not known.
    pub beginnings: PartitionOffsets,
}

fn check_all_specified(
    assigned: &BTreeSet<TopicPartition>,
    specified: &PartitionOffsets,
) -> Result<(), KafkaSourceError> {
    if assigned.iter().eq(specified.0.keys()) {
        return Ok(());
    }
    Err(KafkaSourceError::StartingPartitions {
        specified: joined(specified.0.keys()),
        assigned: joined(assigned),
    })
}

fn joined<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let names: Vec<_> = partitions.into_iter().map(ToString::to_string).collect();
    names.join(", ")
}
