//! A producer of single records for one topic: gathers them into batches, one batch in flight per partition.
//!
//! With one batch in flight nothing can be reordered, and an idempotent batch can be sent again as it is.

mod partitioner;
mod queue;
mod transactional;

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_protocol::Compression;
use ottla_protocol::batch::BuildError;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use partitioner::{murmur2, partition_for_key};
pub use transactional::TransactionalProducer;

use crate::client::Client;
use crate::error::RequestError;
use crate::init_producer_id::ProducerIdentity;
use crate::metadata::AutoCreate;
use crate::produce::{Acks, ProduceOutcome};
use crate::transaction::TransactionalIdentity;
use queue::PartitionQueue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    pub acks: Acks,
    /// `compression.type`
    pub compression: Compression,
    /// `batch.size`: a batch is sent when its records take so many bytes.
    pub batch_bytes: usize,
    /// `linger.ms`: how long the owner lets records wait before it calls [`Producer::flush`].
    pub linger: Duration,
    /// `enable.idempotence`: needs [`Acks::All`], and is off without it.
    pub idempotence: bool,
}

/// A record to be sent; everything is borrowed and copied into its batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutgoingRecord<'a> {
    /// Overrides the choice by key.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
    /// Now, if `None`.
    pub timestamp_ms: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("a record does not fit into a batch: {0}")]
    Batch(#[from] BuildError),
    #[error("topic `{topic}` has no partition {partition}; it has {partitions}")]
    NoSuchPartition { topic: String, partition: i32, partitions: usize },
}

/// Sends records to one topic. Ends with its first error: what was not acknowledged may or may not have been written.
#[derive(Debug)]
pub struct Producer {
    client: Client,
    config: ProducerConfig,
    topic: String,
    identity: Option<ProducerIdentity>,
    queues: Vec<PartitionQueue>,
    /// Where records without a key go until their batch is full (KIP-480).
    sticky: usize,
    in_flight: JoinSet<(usize, Result<ProduceOutcome, RequestError>)>,
    acknowledged: u64,
    /// Whose transactions the records are part of.
    transaction: Option<Transaction>,
}

/// The transaction that a producer is in, and what of the topic is part of it.
#[derive(Debug)]
struct Transaction {
    identity: TransactionalIdentity,
    partitions: HashSet<usize>,
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            acks: Acks::All,
            compression: Compression::None,
            batch_bytes: 16 * 1024,
            linger: Duration::from_millis(5),
            idempotence: true,
        }
    }
}

impl Producer {
    /// Finds the topic, or has it made if the broker allows that.
    pub async fn new(
        client: Client,
        topic: impl Into<String>,
        config: ProducerConfig,
    ) -> Result<Producer, ProducerError> {
        let is_idempotent = config.idempotence && config.acks == Acks::All;
        let identity = if is_idempotent { Some(client.init_producer_id().await?) } else { None };
        Producer::with_identity(client, topic.into(), config, identity, None).await
    }

    /// A producer for one topic, whose records are part of the transactions of `identity`.
    async fn in_transactions(
        client: Client,
        topic: &str,
        config: ProducerConfig,
        identity: TransactionalIdentity,
    ) -> Result<Producer, ProducerError> {
        // A transaction's batches are always acknowledged, and always recognised.
        let config = ProducerConfig { acks: Acks::All, idempotence: true, ..config };
        let producer = Some(identity.producer);
        let transaction = Some(Transaction { identity, partitions: HashSet::new() });
        Producer::with_identity(client, topic.to_owned(), config, producer, transaction).await
    }

    async fn with_identity(
        client: Client,
        topic: String,
        config: ProducerConfig,
        identity: Option<ProducerIdentity>,
        transaction: Option<Transaction>,
    ) -> Result<Producer, ProducerError> {
        let partitions = client.partition_count(&topic).await?;
        let queues = std::iter::repeat_with(PartitionQueue::default).take(partitions).collect();
        let in_flight = JoinSet::new();
        let (sticky, acknowledged) = (0, 0);
        Ok(Producer { client, config, topic, identity, queues, sticky, in_flight, acknowledged, transaction })
    }

    /// Adds a record to its batch, and sends the batch when it is full. Waits only where the partition's last batch is
    /// still in flight.
    pub async fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<(), ProducerError> {
        let partition = self.partition_of(record)?;
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(now_ms);
        let queue = &mut self.queues[partition];
        queue.push(timestamp_ms, record, &self.config)?;
        if queue.size_bytes() >= self.config.batch_bytes {
            self.send_batch(partition).await?;
            if partition == self.sticky {
                self.sticky = (self.sticky + 1) % self.queues.len();
            }
        }
        Ok(())
    }

    /// Sends all that has been gathered, and waits until everything is acknowledged.
    pub async fn flush(&mut self) -> Result<(), ProducerError> {
        for partition in 0..self.queues.len() {
            if !self.queues[partition].is_empty() {
                self.send_batch(partition).await?;
            }
        }
        while !self.in_flight.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// How many records have been acknowledged, or sent with [`Acks::None`].
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// When the records that have been gathered are due; `None` if there are none.
    pub fn due(&self) -> Option<Instant> {
        let oldest = self.queues.iter().filter_map(PartitionQueue::since).min()?;
        Some(oldest + self.config.linger)
    }

    fn partition_of(&self, record: &OutgoingRecord<'_>) -> Result<usize, ProducerError> {
        let partitions = self.queues.len();
        match (record.partition, record.key) {
            (Some(partition), _) => {
                let index = usize::try_from(partition).ok().filter(|index| *index < partitions);
                let topic = || self.topic.clone();
                index.ok_or_else(|| ProducerError::NoSuchPartition { topic: topic(), partition, partitions })
            }
            (None, Some(key)) => Ok(partition_for_key(key, partitions as i32) as usize),
            (None, None) => Ok(self.sticky),
        }
    }

    async fn send_batch(&mut self, partition: usize) -> Result<(), ProducerError> {
        while self.queues[partition].is_in_flight() {
            self.settle_one().await?;
        }
        let identity = match &mut self.transaction {
            Some(transaction) => {
                if transaction.partitions.insert(partition) {
                    let added = [(self.topic.as_str(), partition as i32)];
                    self.client.add_partitions_to_transaction(&transaction.identity, &added).await?;
                }
                Some(transaction.identity.clone())
            }
            None => None,
        };
        let queue = &mut self.queues[partition];
        let batch: Bytes = queue.take_batch(&self.config, self.identity, identity.is_some())?;
        let (client, topic, acks) = (self.client.clone(), self.topic.clone(), self.config.acks);
        self.in_flight.spawn(async move {
            let produced = match identity {
                Some(identity) => {
                    client.produce_in_transaction(&identity, &topic, partition as i32, batch).await
                }
                None => client.produce(&topic, partition as i32, batch, acks).await,
            };
            (partition, produced)
        });
        Ok(())
    }

    /// Whether the transaction has something of this topic.
    fn has_sent(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| !transaction.partitions.is_empty())
    }

    /// Forgets what has been gathered, and waits for what is in flight, whatever becomes of it.
    async fn discard(&mut self) -> Result<(), ProducerError> {
        self.queues.iter_mut().for_each(PartitionQueue::clear);
        while !self.in_flight.is_empty() {
            match self.settle_one().await {
                Ok(()) | Err(ProducerError::Request(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The transaction before has ended. Sequences begin again with each epoch.
    fn begin_transaction(&mut self, identity: &TransactionalIdentity) {
        if self.identity != Some(identity.producer) {
            self.queues.iter_mut().for_each(PartitionQueue::restart);
        }
        self.identity = Some(identity.producer);
        self.transaction = Some(Transaction { identity: identity.clone(), partitions: HashSet::new() });
    }

    async fn settle_one(&mut self) -> Result<(), ProducerError> {
        match self.in_flight.join_next().await {
            Some(Ok((partition, outcome))) => {
                outcome?;
                self.acknowledged += self.queues[partition].settle();
                Ok(())
            }
            Some(Err(failure)) => std::panic::resume_unwind(failure.into_panic()),
            None => Ok(()),
        }
    }
}

impl Client {
    /// At least one: the first partition has a leader when this returns.
    async fn partition_count(&self, topic: &str) -> Result<usize, RequestError> {
        Ok(self.leader(topic, 0, AutoCreate::Allowed).await?.topic.partitions.len())
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
