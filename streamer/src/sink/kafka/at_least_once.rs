//! Records that are acknowledged when the batch is done, and nothing more.

use std::collections::HashMap;

use ottla_client::Client;
use ottla_client::producer::{OutgoingRecord, Producer, ProducerConfig};

use super::error::KafkaSinkError;

/// So many topics keep their producers from one batch to the next.
const MAX_KEPT_PRODUCERS: usize = 256;

pub(super) struct Producers {
    client: Client,
    config: ProducerConfig,
    by_topic: HashMap<String, Producer>,
}

impl Producers {
    pub(super) fn new(client: Client, config: ProducerConfig) -> Producers {
        Producers { client, config, by_topic: HashMap::new() }
    }

    pub(super) async fn send(
        &mut self,
        topic: &str,
        record: &OutgoingRecord<'_>,
    ) -> Result<(), KafkaSinkError> {
        if let Some(producer) = self.by_topic.get_mut(topic) {
            return Ok(producer.send(record).await?);
        }
        if self.by_topic.len() >= MAX_KEPT_PRODUCERS {
            self.flush().await?;
            self.by_topic.clear();
        }
        let mut producer = Producer::new(self.client.clone(), topic, self.config.clone()).await?;
        producer.send(record).await?;
        self.by_topic.insert(topic.to_owned(), producer);
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub(super) async fn flush(&mut self) -> Result<(), KafkaSinkError> {
        for producer in self.by_topic.values_mut() {
            producer.flush().await?;
        }
        Ok(())
    }
}
