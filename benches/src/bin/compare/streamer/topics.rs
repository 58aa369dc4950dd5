//! The topics: JSON records of about 70 bytes, without a key, not compressed, in batches as Kafka's producer makes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_client::{Acks, Client, NewTopic};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BuildError};
use tokio::task::JoinSet;

use super::workload::Workload;
use crate::load::{self, LoadError};

pub(super) const PARTITIONS: i32 = 4;
/// Together about 16 KB, the producer's `batch.size`.
const RECORDS_OF_A_BATCH: u64 = 220;
pub(super) const KEYS: u64 = 1_000;
/// Cents of the largest amount.
const AMOUNTS: u64 = 10_000;
/// How far apart in event time two records are that follow each other.
const MILLISECONDS_APART: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// All records, one after the other in event time over all partitions.
    Many,
    /// As many records as there are trivial micro-batches, in one partition, ten seconds apart.
    Few,
}

impl Topic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Topic::Many => "many",
            Topic::Few => "few",
        }
    }
}

/// Fills the topic, unless that has been done.
pub(super) async fn prepare(address: SocketAddr, workload: &Workload, topic: Topic) -> Result<(), LoadError> {
    let client = Arc::new(load::connect(address).await?);
    let name = topic.name();
    if client.all_metadata().await?.topics.iter().any(|existing| existing.name == name) {
        return Ok(());
    }
    match topic {
        Topic::Few => {
            load::create(&client, NewTopic::new(name).with_partitions(1)).await?;
            let mut batch = BatchBuilder::new(Compression::None);
            for place in 0..workload.trivial_batches {
                batch.push(now_ms(), None, Some(record(place, place * 10_000).as_bytes()))?;
            }
            client.produce(name, 0, batch.build()?, Acks::All).await?;
        }
        Topic::Many => {
            eprintln!("writing {} records", workload.records);
            load::create(&client, NewTopic::new(name).with_partitions(PARTITIONS)).await?;
            let mut lanes = JoinSet::new();
            for partition in 0..PARTITIONS {
                lanes.spawn(fill(client.clone(), partition, workload.records));
            }
            while let Some(filled) = lanes.join_next().await {
                filled.expect("a producer does not panic, and nobody stops it")?;
            }
        }
    }
    Ok(())
}

/// The records of one partition: batches of `records` go to the partitions in turn.
async fn fill(client: Arc<Client>, partition: i32, records: u64) -> Result<(), LoadError> {
    let lane = u64::try_from(partition).unwrap_or_default();
    let batches = records.div_ceil(RECORDS_OF_A_BATCH);
    for place in (lane..batches).step_by(PARTITIONS as usize) {
        let first = place * RECORDS_OF_A_BATCH;
        let batch = batch(first..records.min(first + RECORDS_OF_A_BATCH))?;
        client.produce(Topic::Many.name(), partition, batch, Acks::All).await?;
    }
    Ok(())
}

fn batch(places: std::ops::Range<u64>) -> Result<Bytes, BuildError> {
    let mut batch = BatchBuilder::new(Compression::None);
    let now_ms = now_ms();
    for place in places {
        batch.push(now_ms, None, Some(record(place, place * MILLISECONDS_APART).as_bytes()))?;
    }
    batch.build()
}

/// `{"id":1234567,"key":"k431","amount":12.34,"ts":"2026-09-21T10:20:34.567Z"}`
fn record(id: u64, event_ms: u64) -> String {
    // Keys and amounts come in no order, and the same in each run.
    let scattered = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let (key, cents) = (scattered % KEYS, (scattered / KEYS) % AMOUNTS);
    let (seconds, ms) = (event_ms / 1_000, event_ms % 1_000);
    let (day, hour, minute, second) =
        (1 + seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{{\"id\":{id},\"key\":\"k{key}\",\"amount\":{}.{:02},\"ts\":\"2026-09-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z\"}}",
        cents / 100,
        cents % 100
    )
}

/// The time of a record at the broker, which must not be so old that retention takes it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_json_of_about_seventy_bytes() {
        let text = record(1_234_567, 1_234_567);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["id"], &json["ts"]), (&1_234_567.into(), &"2026-09-01T00:20:34.567Z".into()));
        assert!((65..80).contains(&text.len()), "{text}");
    }
}
