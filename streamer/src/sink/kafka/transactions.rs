//! A batch as one transaction: its rows, and in the offsets of a consumer group which batch they are of.
//!
//! The group's offsets are where the sources' partitions end with that batch, each with the metadata `batch=<id>`. They
//! count when the rows count, so whoever starts the query again reads there which batch is the last that is in
//! the topic. The broker forgets them when the query has not run for its `offsets.retention.minutes`.

use std::collections::BTreeSet;

use ottla_client::producer::{OutgoingRecord, ProducerConfig, ProducerError, TransactionalProducer};
use ottla_client::{Client, OffsetToCommit, RequestError};

use super::error::{KafkaSinkError, is_lost};
use super::options::ExactlyOnce;
use crate::crash_point;
use crate::kafka::offsets::{PartitionOffsets, TopicPartition};

const METADATA_PREFIX: &str = "batch=";

pub(super) struct Transactions {
    client: Client,
    options: ExactlyOnce,
    producer: TransactionalProducer,
    last_batch: Option<u64>,
    /// Partitions of sources that this cluster has; those of another one cannot be committed here.
    known: BTreeSet<TopicPartition>,
}

impl Transactions {
    /// Ends what an earlier run has left open, and finds out which batch is in the topic.
    pub(super) async fn start(
        client: Client,
        options: ExactlyOnce,
        config: ProducerConfig,
    ) -> Result<Transactions, KafkaSinkError> {
        let producer =
            TransactionalProducer::new(client.clone(), &options.transactional_id, options.timeout, config)
                .await?;
        let committed = client.fetch_all_stable_offsets(&options.group).await?;
        let batch_of = |metadata: &str| metadata.strip_prefix(METADATA_PREFIX)?.parse().ok();
        let last_batch = committed.iter().filter_map(|offset| batch_of(offset.metadata.as_deref()?)).max();
        Ok(Transactions { client, options, producer, last_batch, known: BTreeSet::new() })
    }

    /// Whether the batch has been committed.
    pub(super) fn has(&self, batch_id: u64) -> bool {
        self.last_batch.is_some_and(|last| batch_id <= last)
    }

    pub(super) async fn send(
        &mut self,
        batch_id: u64,
        topic: &str,
        record: &OutgoingRecord<'_>,
    ) -> Result<(), KafkaSinkError> {
        let sent = self.producer.send(topic, record).await;
        sent.map_err(|error| self.producer_error(batch_id, error))
    }

    /// Commits what was sent; `topic` is one that was written to, if any was.
    pub(super) async fn commit(
        &mut self,
        batch_id: u64,
        end_offsets: &[Option<String>],
        topic: Option<&str>,
    ) -> Result<(), KafkaSinkError> {
        let offsets = self.offsets(batch_id, end_offsets, topic).await?;
        if !offsets.is_empty() {
            let committed = self.producer.commit_offsets(&self.options.group, &offsets).await;
            committed.map_err(|error| self.request_error(batch_id, error))?;
        }
        crash_point::pass();
        let committed = self.producer.commit().await;
        committed.map_err(|error| self.producer_error(batch_id, error))?;
        self.last_batch = Some(batch_id);
        Ok(())
    }

    /// Brings what was sent to the broker, as a large batch does by itself.
    #[cfg(test)]
    pub(super) async fn flush(&mut self) -> Result<(), KafkaSinkError> {
        Ok(self.producer.flush().await?)
    }

    /// Takes back what was sent. Where that fails, the next start does it.
    pub(super) async fn abort(&mut self) {
        if let Err(error) = self.producer.abort().await {
            tracing::warn!("the transaction of a batch that failed is left to its timeout: {error}");
        }
    }

    /// The sources' ends; without any in this cluster, the first partition of a topic that was written to tells the batch.
    async fn offsets(
        &mut self,
        batch_id: u64,
        end_offsets: &[Option<String>],
        topic: Option<&str>,
    ) -> Result<Vec<OffsetToCommit>, KafkaSinkError> {
        let mut ends = PartitionOffsets::default();
        for json in end_offsets.iter().flatten() {
            // Sources of other kinds have offsets of other forms.
            if let Ok(offsets) = PartitionOffsets::from_json(json) {
                ends.0.extend(offsets.0);
            }
        }
        if ends.0.keys().any(|partition| !self.known.contains(partition)) {
            self.learn(&ends).await?;
        }
        let here = ends.0.into_iter().filter(|(partition, _)| self.known.contains(partition));
        let mut offsets: Vec<_> =
            here.map(|(at, end)| OffsetToCommit::new(at.topic, at.partition, end)).collect();
        if let (true, Some(topic)) = (offsets.is_empty(), topic) {
            let batch = i64::try_from(batch_id).unwrap_or(i64::MAX);
            offsets.push(OffsetToCommit::new(topic, 0, batch));
        }
        for offset in &mut offsets {
            offset.metadata = Some(format!("{METADATA_PREFIX}{batch_id}"));
        }
        Ok(offsets)
    }

    async fn learn(&mut self, ends: &PartitionOffsets) -> Result<(), KafkaSinkError> {
        let topics: BTreeSet<&str> = ends.0.keys().map(|partition| partition.topic.as_str()).collect();
        let metadata = self.client.metadata(&topics.into_iter().collect::<Vec<_>>()).await?;
        for topic in metadata.topics.iter().filter(|topic| topic.error.is_none()) {
            let partitions = topic.partitions.iter();
            self.known.extend(
                partitions.map(|partition| TopicPartition::new(topic.name.as_str(), partition.index)),
            );
        }
        Ok(())
    }

    fn producer_error(&self, batch_id: u64, error: ProducerError) -> KafkaSinkError {
        match error {
            ProducerError::Request(error) => self.request_error(batch_id, error),
            other => other.into(),
        }
    }

    fn request_error(&self, batch_id: u64, source: RequestError) -> KafkaSinkError {
        if !is_lost(source.code()) {
            return source.into();
        }
        let transactional_id = self.options.transactional_id.clone();
        KafkaSinkError::TransactionLost { batch_id, transactional_id, timeout: self.options.timeout, source }
    }
}
