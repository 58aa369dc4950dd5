//! A client that keeps to the protocol, and the broker's memory as it sees it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_client::{Acks, Client, ClientConfig, ProduceOutcome};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::partition;
use ottla_tests::timestamp::now_ms;
use tokio::runtime::Runtime;

use crate::floods::Flood;

const TOPIC: &str = "kept";

/// Each sends one record and waits for its acknowledgement.
const REQUESTS: usize = 200;

pub(crate) struct Victim {
    client: Client,
    pid: u32,
    written: i64,
    most_memory_bytes: u64,
}

/// How long each disturbance is kept up at least, if that was asked for.
pub(crate) fn duration_from_env() -> Option<Duration> {
    let seconds = std::env::var("OTTLA_HOSTILE_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("a number of seconds")))
}

impl Victim {
    pub(crate) async fn start(broker: &OttlaProcess) -> Victim {
        let client = Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.expect("it serves");
        let mut victim = Victim { client, pid: broker.ready().pid, written: 0, most_memory_bytes: 0 };
        victim.p99(Duration::ZERO).await;
        victim
    }

    /// The 99th percentile of the time from a record to its acknowledgement, over at least this duration.
    pub(crate) async fn p99(&mut self, at_least: Duration) -> Duration {
        let (started_at, mut waits) = (Instant::now(), Vec::new());
        while waits.len() < REQUESTS || started_at.elapsed() < at_least {
            let sent_at = Instant::now();
            let outcome = self.client.produce(TOPIC, 0, batch(self.written), Acks::All).await;
            waits.push(sent_at.elapsed());
            let outcome = outcome.expect("the broker serves others");
            assert!(
                matches!(outcome, ProduceOutcome::Acknowledged { base_offset, .. } if base_offset == self.written)
            );
            self.written += 1;
            if self.written % 20 == 0 {
                self.most_memory_bytes = self.most_memory_bytes.max(memory_bytes(self.pid));
            }
        }
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }

    /// The same while a broker, perhaps another one, is disturbed.
    pub(crate) async fn p99_beside(
        &mut self,
        flood: Flood,
        disturbed: &OttlaProcess,
        hostile: &Runtime,
    ) -> Duration {
        let servers = disturbed.bootstrap_servers().to_owned();
        let running = hostile.spawn(async move { flood.start(&servers).await }).await.expect("it starts");
        let p99 = self.p99(duration_from_env().unwrap_or_default()).await;
        running.stop().await;
        p99
    }

    pub(crate) fn most_memory_bytes(&self) -> u64 {
        self.most_memory_bytes
    }

    /// # Panics
    /// Unless every acknowledged record is there once, in order.
    pub(crate) async fn expect_all_records(&self) {
        let kept = partition::read(&self.client, TOPIC, 0).await;
        let values = kept.iter().map(|record| record.value.as_deref().and_then(|value| value.parse().ok()));
        assert!(values.eq((0..self.written).map(Some)), "{} of {} records", kept.len(), self.written);
    }
}

fn batch(value: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(now_ms(), None, Some(value.to_string().as_bytes())).expect("a small record");
    batch.build().expect("a batch of one record")
}

/// What the process has of memory that no file backs; 0 where the system does not say.
fn memory_bytes(pid: u32) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
