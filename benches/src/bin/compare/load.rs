//! Load that Kafka's tools cannot make: many producers in one process, through `ottla-client`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ottla_client::{Acks, Client, ClientConfig, ConnectError, KafkaError, NewTopic, RequestError};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BuildError};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Debug, Error)]
pub(crate) enum LoadError {
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    #[error("cannot make a batch: {0}")]
    Build(#[from] BuildError),
    #[error("the broker does not do it: {0}")]
    Request(#[from] RequestError),
    #[error("the topic is not created: {0}")]
    Topic(KafkaError),
}

/// A broker that elects a leader first is asked again this often.
const RETRY_BACKOFF: Duration = Duration::from_millis(5);

pub(crate) async fn connect(address: SocketAddr) -> Result<Client, LoadError> {
    let config = ClientConfig { retry_backoff: RETRY_BACKOFF, ..ClientConfig::new(address.to_string()) };
    Ok(Client::connect(config).await?)
}

/// With one partition.
pub(crate) async fn create_topic(
    client: &Client,
    topic: &str,
    configs: &[(&str, &str)],
) -> Result<(), LoadError> {
    let owned = |(name, value): &(&str, &str)| (String::from(*name), String::from(*value));
    let topic = NewTopic { configs: configs.iter().map(owned).collect(), ..NewTopic::new(topic) };
    let outcomes = client.create_topics(&[topic.with_partitions(1)]).await?;
    outcomes.into_iter().try_for_each(|outcome| outcome.result.map_err(LoadError::Topic))
}

pub(crate) fn one_record(value: &[u8]) -> Result<Bytes, BuildError> {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(0, None, Some(value))?;
    batch.build()
}

/// Lets so many producers, each on a connection of its own, append `batch` to partition 0 with `acks=all` again and
/// again, always one in flight; returns how many acknowledgements a second all of them got together.
pub(crate) async fn acks_per_second(
    address: SocketAddr,
    topic: &str,
    producers: usize,
    batch: &Bytes,
    time: Duration,
) -> Result<f64, LoadError> {
    let mut clients = Vec::with_capacity(producers);
    for _ in 0..producers {
        let client = connect(address).await?;
        // So that neither connecting nor asking for the leader is part of what is measured.
        client.produce(topic, 0, batch.clone(), Acks::All).await?;
        clients.push(client);
    }
    let started_at = Instant::now();
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(produce_until(started_at + time, client, topic.to_owned(), batch.clone()));
    }
    let mut acks: u64 = 0;
    while let Some(finished) = running.join_next().await {
        acks += finished.expect("a producer does not panic, and nobody stops it")?;
    }
    Ok(acks as f64 / started_at.elapsed().as_secs_f64())
}

async fn produce_until(
    end: Instant,
    client: Client,
    topic: String,
    batch: Bytes,
) -> Result<u64, RequestError> {
    let mut acks = 0;
    while Instant::now() < end {
        client.produce(&topic, 0, batch.clone(), Acks::All).await?;
        acks += 1;
    }
    Ok(acks)
}
