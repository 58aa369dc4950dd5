//! Rows as records of topics. Spark's `KafkaStreamingWrite`.
//!
//! At least once, as in Spark: a batch that comes twice is in the topic twice. With the option `exactlyOnce` each batch is
//! one transaction (see [`transactions`]), and a batch that is in the topic already is not written again; consumers with
//! `isolation.level=read_committed` see each row once. Memory is bounded by two batches of `kafka.batch.size` for each
//! partition that is written to.

mod at_least_once;
mod columns;
mod error;
mod options;
#[cfg(test)]
mod tests;
mod transactions;

use async_trait::async_trait;
use futures::TryStreamExt;
use ottla_client::producer::OutgoingRecord;
use ottla_client::{Client, ClientConfig};

pub use error::KafkaSinkError;

use super::{Sink, SinkBatch, SinkContext, SinkError};
use crate::crash_point;
use crate::options::Options;
use crate::output_mode::OutputMode;
use at_least_once::Producers;
use columns::{Columns, Records};
use options::KafkaSinkOptions;
use transactions::Transactions;

pub struct KafkaSink {
    options: KafkaSinkOptions,
    columns: Columns,
    /// Connected by the first batch.
    writer: Option<Writer>,
}

enum Writer {
    AtLeastOnce(Box<Producers>),
    ExactlyOnce(Box<Transactions>),
}

impl KafkaSink {
    pub fn new(options: &Options, context: &SinkContext) -> Result<KafkaSink, SinkError> {
        let options = KafkaSinkOptions::parse(options, context)?;
        let columns = Columns::find(&context.schema, options.topic.is_some())?;
        Ok(KafkaSink { options, columns, writer: None })
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn description(&self) -> String {
        "org.apache.spark.sql.kafka010.KafkaSourceProvider$KafkaTable".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(connect(&self.options).await?),
        };
        let (id, end_offsets) = (batch.id, batch.end_offsets.clone());
        if let Writer::ExactlyOnce(transactions) = writer
            && transactions.has(id)
        {
            tracing::info!("batch {id} is in its topic already");
            return batch.drain().await;
        }
        let written = write(writer, &self.columns, self.options.topic.as_deref(), batch).await;
        match writer {
            Writer::AtLeastOnce(producers) => {
                let written = written?;
                crash_point::pass();
                producers.flush().await?;
                crash_point::pass();
                Ok(written.rows)
            }
            Writer::ExactlyOnce(transactions) => {
                if written.is_err() {
                    transactions.abort().await;
                }
                let Written { rows, topic } = written?;
                crash_point::pass();
                transactions.commit(id, &end_offsets, topic.as_deref()).await?;
                crash_point::pass();
                Ok(rows)
            }
        }
    }
}

async fn connect(options: &KafkaSinkOptions) -> Result<Writer, KafkaSinkError> {
    let mut config = ClientConfig::new(&options.bootstrap_servers).with_client_id(&options.client_id);
    if let Some(timeout) = options.request_timeout {
        config.request_timeout = timeout;
    }
    let client = Client::connect(config).await?;
    let config = options.producer.clone();
    Ok(match &options.exactly_once {
        None => Writer::AtLeastOnce(Box::new(Producers::new(client, config))),
        Some(options) => {
            Writer::ExactlyOnce(Box::new(Transactions::start(client, options.clone(), config).await?))
        }
    })
}

#[derive(Default)]
struct Written {
    rows: u64,
    /// The first that was written to.
    topic: Option<String>,
}

async fn write(
    writer: &mut Writer,
    columns: &Columns,
    topic: Option<&str>,
    batch: SinkBatch,
) -> Result<Written, SinkError> {
    let id = batch.id;
    let mut rows = batch.in_order();
    let mut written = Written::default();
    while let Some(batch) = rows.try_next().await? {
        let records = columns.records(&batch)?;
        let first = send(writer, id, &records, topic, batch.num_rows()).await?;
        written.rows += batch.num_rows() as u64;
        written.topic = written.topic.or(first);
    }
    Ok(written)
}

/// Returns the topic of the first row.
async fn send(
    writer: &mut Writer,
    batch_id: u64,
    records: &Records,
    topic: Option<&str>,
    rows: usize,
) -> Result<Option<String>, KafkaSinkError> {
    let topic_of = |row| match topic {
        Some(topic) => Ok(topic),
        None => records.topic(row).unwrap_or(Err(KafkaSinkError::NoTopic)),
    };
    let mut headers = Vec::new();
    for row in 0..rows {
        records.headers(row, &mut headers)?;
        let record = OutgoingRecord {
            partition: records.partition(row),
            key: records.key(row),
            value: records.value(row),
            headers: &headers,
            timestamp_ms: None,
        };
        match writer {
            Writer::AtLeastOnce(producers) => producers.send(topic_of(row)?, &record).await?,
            Writer::ExactlyOnce(transactions) => {
                transactions.send(batch_id, topic_of(row)?, &record).await?;
            }
        }
    }
    if rows == 0 { Ok(None) } else { topic_of(0).map(|topic| Some(topic.to_owned())) }
}
