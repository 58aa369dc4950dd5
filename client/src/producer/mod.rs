//! A producer of single records for one topic: gathers them into batches, one batch in flight per partition.
//!
//! With one batch in flight nothing can be reordered, and an idempotent batch can be sent again as it is.

mod partitioner;
mod queue;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_protocol::Compression;
use ottla_protocol::batch::BuildError;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use partitioner::{murmur2, partition_for_key};

use crate::client::Client;
use crate::error::RequestError;
use crate::init_producer_id::ProducerIdentity;
use crate::metadata::AutoCreate;
use crate::produce::{Acks, ProduceOutcome};
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
        let topic = topic.into();
        let partitions = client.partition_count(&topic).await?;
        let is_idempotent = config.idempotence && config.acks == Acks::All;
        let identity = if is_idempotent { Some(client.init_producer_id().await?) } else { None };
        let queues = std::iter::repeat_with(PartitionQueue::default).take(partitions).collect();
        let in_flight = JoinSet::new();
        Ok(Producer { client, config, topic, identity, queues, sticky: 0, in_flight, acknowledged: 0 })
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
        let batch: Bytes = self.queues[partition].take_batch(&self.config, self.identity)?;
        let (client, topic, acks) = (self.client.clone(), self.topic.clone(), self.config.acks);
        self.in_flight
            .spawn(async move { (partition, client.produce(&topic, partition as i32, batch, acks).await) });
        Ok(())
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
