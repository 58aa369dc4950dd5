//! Load that Kafka's tools cannot make: many producers in one process, through `ottla-client`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_client::{
    Acks, Client, ClientConfig, ConnectError, KafkaError, NewTopic, OffsetSpec, RequestError,
};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BuildError};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::workload::Held;

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
    #[error("{found} records are there, {acknowledged} were acknowledged")]
    Lost { found: i64, acknowledged: i64 },
}

/// Kafka refuses to make ten thousand partitions in one request.
const PARTITIONS_OF_A_TOPIC: i32 = 1000;
/// Partitions that are filled at a time.
const FILL_LANES: i32 = 32;
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
    create(client, topic.with_partitions(1)).await
}

/// Makes topics that hold so much together, their partitions written to in turn.
pub(crate) async fn fill(address: SocketAddr, held: Held) -> Result<(), LoadError> {
    let client = Arc::new(connect(address).await?);
    for first in (0..held.partitions).step_by(PARTITIONS_OF_A_TOPIC as usize) {
        let partitions = (held.partitions - first).min(PARTITIONS_OF_A_TOPIC);
        create(&client, NewTopic::new(place(first).0).with_partitions(partitions)).await?;
    }
    let batch = one_record(&vec![b'x'; held.batch_bytes])?;
    let mut running = JoinSet::new();
    for lane in 0..FILL_LANES {
        let (client, batch) = (Arc::clone(&client), batch.clone());
        running.spawn(async move {
            for _ in 0..held.batches {
                for at in (lane..held.partitions).step_by(FILL_LANES as usize) {
                    let (topic, partition) = place(at);
                    client.produce(&topic, partition, batch.clone(), Acks::All).await?;
                }
            }
            Ok::<_, RequestError>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished.expect("a producer does not panic, and nobody stops it")?;
    }
    Ok(())
}

/// Asks for the ends of all partitions that [`fill`] made; returns how many records there are.
pub(crate) async fn count_records(client: &Client, held: Held) -> Result<i64, LoadError> {
    let places: Vec<_> = (0..held.partitions).map(place).collect();
    let ends: Vec<_> =
        places.iter().map(|(topic, partition)| (topic.as_str(), *partition, OffsetSpec::Latest)).collect();
    let listed = client.list_offsets(&ends).await?;
    Ok(listed.iter().filter_map(|end| end.offset).sum())
}

/// Topic and partition of one of the partitions that [`fill`] makes.
pub(crate) fn place(at: i32) -> (String, i32) {
    (format!("filled-{}", at / PARTITIONS_OF_A_TOPIC), at % PARTITIONS_OF_A_TOPIC)
}

pub(crate) async fn create(client: &Client, topic: NewTopic) -> Result<(), LoadError> {
    let outcomes = client.create_topics(&[topic]).await?;
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
