//! A log of which a tenth is live is compacted while another topic's producer goes on: how fast, in how much memory, and
//! does the producer notice?

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use ottla_client::{Acks, Client};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BuildError};
use tokio::time::{Instant, interval, sleep};

use super::{Measure, MeasureError, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::load::{self, LoadError};
use crate::peers::{Peer, RunningBroker, Settings};
use crate::process::anonymous_memory_bytes;
use crate::sample::{Metric, Reading, Take};

pub(super) const COMPACTION: Measurement = Measurement {
    name: "compaction",
    measure: Measure::Own(measure),
    figures: &[
        Figure {
            name: "compaction of a log with 10 % live records",
            unit: "MB/s",
            metric: Metric::CompactedMbPerSecond,
            take: Take::Median,
            targets: &[Target::AtLeast(3.0, Peer::Kafka)],
        },
        Figure {
            name: "private memory while a log is compacted, at most",
            unit: "MB",
            metric: Metric::CompactionMemoryMb,
            take: Take::Median,
            targets: &[Target::Limit(64.0)],
        },
        Figure {
            name: "a producer's p99 while a log is compacted, over before",
            unit: "×",
            metric: Metric::CompactionSlowdown,
            take: Take::Median,
            targets: &[Target::Limit(2.0)],
        },
    ],
};

const TOPIC: &str = "compacted";
const BESIDE: &str = "beside-the-compaction";
/// Each starts with what Kafka's cleaner would wait for, 15 s, made short.
const SETTINGS: Settings = Settings {
    ottla: &["--override", "log.cleaner.backoff.ms=100"],
    kafka: &["log.cleaner.backoff.ms=100"],
    kfake: &[],
};

const RECORDS_PER_BATCH: u64 = 1000;
/// Every tenth record has a key of its own, and stays. The others share so many keys, and go.
const ONE_IN: u64 = 10;
const SHARED_KEYS: u64 = 1000;
const SEGMENTS: u64 = 16;
/// A log that has shrunk to this share of its size has been compacted.
const COMPACTED_SHARE: f64 = 0.15;
const LIMIT: Duration = Duration::from_secs(180);

const WATCH_INTERVAL: Duration = Duration::from_millis(5);
const PRODUCE_INTERVAL: Duration = Duration::from_millis(2);

/// What was seen from the moment on when the log might be compacted until it was.
struct Compaction {
    time: Duration,
    memory_bytes: u64,
}

fn measure(lab: &Lab, peer: Peer) -> Readings {
    let broker = lab.start_with(peer, SETTINGS)?;
    let log_dir = broker.data_dir().join(format!("{TOPIC}-0"));
    lab.block_on(async {
        let client = load::connect(broker.address).await?;
        fill(&client, lab.workload.compacted_bytes, lab.workload.record_bytes).await?;
        let dirty_bytes = closed_segments(&log_dir)?.bytes;
        load::create_topic(&client, BESIDE, &[]).await?;
        let before = p99_while(broker.address, async {
            sleep(lab.workload.load_time).await;
            Ok(())
        });
        let (p99_before, ()) = before.await?;
        let compaction = compact(&client, &broker, &log_dir, dirty_bytes);
        let (p99, compaction) = p99_while(broker.address, compaction).await?;
        Ok(vec![
            Reading(Metric::CompactedMbPerSecond, dirty_bytes as f64 / 1e6 / compaction.time.as_secs_f64()),
            Reading(Metric::CompactionMemoryMb, compaction.memory_bytes as f64 / 1e6),
            Reading(Metric::CompactionSlowdown, p99.as_secs_f64() / p99_before.as_secs_f64()),
        ])
    })
}

/// Fills the topic, which nobody compacts yet, with so many bytes.
async fn fill(client: &Client, bytes: u64, record_bytes: u64) -> Result<(), LoadError> {
    let segment_bytes = (bytes / SEGMENTS).to_string();
    load::create_topic(client, TOPIC, &[("segment.bytes", &segment_bytes), ("retention.ms", "-1")]).await?;
    let value = vec![b'x'; record_bytes as usize];
    let records = bytes / record_bytes;
    for first in (0..records).step_by(RECORDS_PER_BATCH as usize) {
        client.produce(TOPIC, 0, batch(first, &value)?, Acks::All).await?;
    }
    Ok(())
}

fn batch(first: u64, value: &[u8]) -> Result<Bytes, BuildError> {
    let mut batch = BatchBuilder::new(Compression::None);
    for record in first..first + RECORDS_PER_BATCH {
        let key = match record % ONE_IN {
            0 => format!("own-{record:012}"),
            _ => format!("shared-{:09}", record % SHARED_KEYS),
        };
        batch.push(record as i64, Some(key.as_bytes()), Some(value))?;
    }
    batch.build()
}

/// Lets the broker compact the topic, and waits until it has.
async fn compact(
    client: &Client,
    broker: &RunningBroker,
    log_dir: &Path,
    dirty_bytes: u64,
) -> Result<Compaction, MeasureError> {
    let compacted_bytes = (dirty_bytes as f64 * COMPACTED_SHARE) as u64;
    client.set_topic_configs(TOPIC, &[("cleanup.policy", "compact")]).await.map_err(LoadError::from)?;
    let started_at = Instant::now();
    let mut memory_bytes = 0;
    loop {
        let closed = closed_segments(log_dir)?;
        if closed.bytes <= compacted_bytes && !closed.is_changing {
            return Ok(Compaction { time: started_at.elapsed(), memory_bytes });
        }
        if started_at.elapsed() > LIMIT {
            return Err(MeasureError::NotCompacted { after: LIMIT });
        }
        memory_bytes = memory_bytes.max(anonymous_memory_bytes(broker.pid())?);
        sleep(WATCH_INTERVAL).await;
    }
}

/// The log's files but for the segment that is appended to.
struct Closed {
    bytes: u64,
    /// A segment is being written or put in the place of others.
    is_changing: bool,
}

fn closed_segments(log_dir: &Path) -> io::Result<Closed> {
    let mut segments: Vec<PathBuf> = Vec::new();
    let mut is_changing = false;
    for entry in fs::read_dir(log_dir)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => segments.push(path),
            Some("cleaned" | "swap") => is_changing = true,
            _ => {}
        }
    }
    segments.sort();
    segments.pop();
    // One that is gone since has no bytes.
    let bytes = segments.iter().filter_map(|segment| fs::metadata(segment).ok()).map(|of| of.len()).sum();
    Ok(Closed { bytes, is_changing })
}

/// The 99th percentile of how long one record's acknowledgement takes, of many at a steady pace, while something goes on.
async fn p99_while<T>(
    address: SocketAddr,
    going_on: impl Future<Output = Result<T, MeasureError>>,
) -> Result<(Duration, T), MeasureError> {
    let client = load::connect(address).await?;
    let mut latencies = Vec::new();
    let produce = async {
        let record = load::one_record(b"beside")?;
        let mut pace = interval(PRODUCE_INTERVAL);
        loop {
            // Counted from when it was due, so that a slow one makes those behind it late, too.
            let due = pace.tick().await;
            client.produce(BESIDE, 0, record.clone(), Acks::All).await.map_err(LoadError::from)?;
            latencies.push(due.elapsed());
        }
    };
    let done = tokio::select! {
        done = going_on => done?,
        failed = produce => return failed,
    };
    latencies.sort();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    Ok((p99, done))
}
