//! A producer of single records for any topics, in transactions: what it sends counts for those who read committed only
//! when the transaction is committed, and all of it at once.

use std::collections::HashMap;
use std::time::Duration;

use super::{OutgoingRecord, Producer, ProducerConfig, ProducerError};
use crate::client::Client;
use crate::commit_offsets::OffsetToCommit;
use crate::end_txn::TransactionEnd;
use crate::error::RequestError;
use crate::transaction::TransactionalIdentity;

/// Transactions follow one another: the first record or offset begins one, [`commit`](Self::commit) or
/// [`abort`](Self::abort) ends it. After an error it can only be given up; [`TransactionalProducer::new`] aborts what is
/// left open.
#[derive(Debug)]
pub struct TransactionalProducer {
    client: Client,
    config: ProducerConfig,
    identity: TransactionalIdentity,
    topics: HashMap<String, Producer>,
    has_offsets: bool,
}

impl TransactionalProducer {
    /// Fences the producer that had this transactional id before. When this returns, its last transaction is committed or
    /// aborted.
    pub async fn new(
        client: Client,
        transactional_id: &str,
        timeout: Duration,
        config: ProducerConfig,
    ) -> Result<TransactionalProducer, RequestError> {
        let identity = client.init_transactions(transactional_id, timeout).await?;
        Ok(TransactionalProducer::with_identity(client, identity, config))
    }

    /// The producer of an identity that [`Client::init_transactions`] gave.
    pub fn with_identity(
        client: Client,
        identity: TransactionalIdentity,
        config: ProducerConfig,
    ) -> TransactionalProducer {
        TransactionalProducer { client, config, identity, topics: HashMap::new(), has_offsets: false }
    }

    /// Adds a record to its batch, and sends the batch when it is full. Waits where the partition's last batch is still
    /// in flight, so that it never holds more than two batches of a partition.
    pub async fn send(&mut self, topic: &str, record: &OutgoingRecord<'_>) -> Result<(), ProducerError> {
        if let Some(producer) = self.topics.get_mut(topic) {
            return producer.send(record).await;
        }
        let mut producer =
            Producer::in_transactions(self.client.clone(), topic, self.config.clone(), self.identity.clone())
                .await?;
        let sent = producer.send(record).await;
        self.topics.insert(topic.to_owned(), producer);
        sent
    }

    /// Makes a group's offsets a part of the transaction. The group has no members.
    pub async fn commit_offsets(
        &mut self,
        group: &str,
        offsets: &[OffsetToCommit],
    ) -> Result<(), RequestError> {
        self.has_offsets = true;
        self.client.commit_offsets_in_transaction(&self.identity, group, offsets).await
    }

    /// Sends all that has been gathered, waits until everything is acknowledged, and commits.
    pub async fn commit(&mut self) -> Result<(), ProducerError> {
        self.flush().await?;
        self.end(TransactionEnd::Commit).await
    }

    /// Sends all that has been gathered, and waits until everything is acknowledged.
    pub async fn flush(&mut self) -> Result<(), ProducerError> {
        for producer in self.topics.values_mut() {
            producer.flush().await?;
        }
        Ok(())
    }

    /// Takes back everything since the last end of a transaction.
    pub async fn abort(&mut self) -> Result<(), ProducerError> {
        for producer in self.topics.values_mut() {
            producer.discard().await?;
        }
        self.end(TransactionEnd::Abort).await
    }

    async fn end(&mut self, end: TransactionEnd) -> Result<(), ProducerError> {
        let has_records = self.topics.values().any(Producer::has_sent);
        if has_records || self.has_offsets {
            self.identity = self.client.end_transaction(&self.identity, end).await?;
        }
        self.has_offsets = false;
        for producer in self.topics.values_mut() {
            producer.begin_transaction(&self.identity);
        }
        Ok(())
    }
}
