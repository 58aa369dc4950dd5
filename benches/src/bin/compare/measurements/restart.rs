//! The same broker again after `kill -9`: until it acknowledges a record, and until it has told where each of its many
//! partitions ends.

use std::time::{Duration, Instant};

use ottla_client::Acks;

use super::{Measure, MeasureError, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::load::{self, LoadError};
use crate::peers::{Peer, RunningBroker, Settings};
use crate::process::{anonymous_memory_bytes, cpu_seconds, open_files};
use crate::sample::{Metric, Reading, Take};
use crate::workload::Held;

pub(super) const WITH_RECORDS: Measurement = Measurement {
    name: "restart with records",
    measure: Measure::Own(with_records),
    figures: &[
        Figure {
            name: "kill -9, 2 GB in 1,000 partitions: first ack",
            unit: "ms",
            metric: Metric::RestartWithRecordsToFirstAckMs,
            take: Take::Median,
            targets: &[Target::Limit(60.0)],
        },
        Figure {
            name: "kill -9, 2 GB in 1,000 partitions: all ends told",
            unit: "ms",
            metric: Metric::RestartWithRecordsToAllEndsMs,
            take: Take::Median,
            targets: &[],
        },
        Figure {
            name: "kill -9, 2 GB in 1,000 partitions: private memory",
            unit: "MB",
            metric: Metric::RestartWithRecordsMemoryMb,
            take: Take::Median,
            targets: &[Target::Limit(40.0)],
        },
    ],
};

pub(super) const WITH_PARTITIONS: Measurement = Measurement {
    name: "restart with partitions",
    measure: Measure::Own(with_partitions),
    figures: &[
        Figure {
            name: "kill -9, 10,000 partitions: first ack",
            unit: "ms",
            metric: Metric::RestartWithPartitionsToFirstAckMs,
            take: Take::Median,
            targets: &[Target::Limit(1000.0)],
        },
        Figure {
            name: "kill -9, 10,000 partitions: all ends told",
            unit: "ms",
            metric: Metric::RestartWithPartitionsToAllEndsMs,
            take: Take::Median,
            targets: &[Target::Limit(1000.0)],
        },
        Figure {
            name: "kill -9, 10,000 partitions: private memory",
            unit: "MB",
            metric: Metric::RestartWithPartitionsMemoryMb,
            take: Take::Median,
            targets: &[Target::Limit(100.0)],
        },
        Figure {
            name: "kill -9, 10,000 partitions: open files",
            unit: "files",
            metric: Metric::RestartWithPartitionsOpenFiles,
            take: Take::Median,
            targets: &[Target::Limit(1024.0)],
        },
        Figure {
            name: "10,000 partitions: CPU of an idle second",
            unit: "s",
            metric: Metric::RestartWithPartitionsIdleCpuSeconds,
            take: Take::Median,
            // Linux counts in hundredths of a second.
            targets: &[Target::Limit(0.01)],
        },
    ],
};

/// A broker that was killed, and how long it then took.
struct Restarted {
    broker: RunningBroker,
    to_first_ack: Duration,
    to_all_ends: Duration,
}

fn with_records(lab: &Lab, peer: Peer) -> Readings {
    let restarted = restart(lab, peer, lab.workload.killed_with_records)?;
    Ok(vec![
        Reading(Metric::RestartWithRecordsToFirstAckMs, milliseconds(restarted.to_first_ack)),
        Reading(Metric::RestartWithRecordsToAllEndsMs, milliseconds(restarted.to_all_ends)),
        Reading(Metric::RestartWithRecordsMemoryMb, private_memory_mb(&restarted.broker)?),
    ])
}

fn with_partitions(lab: &Lab, peer: Peer) -> Readings {
    let restarted = restart(lab, peer, lab.workload.killed_with_partitions)?;
    let pid = restarted.broker.pid();
    let before = (cpu_seconds(pid)?, Instant::now());
    lab.block_on(async { tokio::time::sleep(lab.workload.load_time).await });
    let idle_cpu = (cpu_seconds(pid)? - before.0) / before.1.elapsed().as_secs_f64();
    Ok(vec![
        Reading(Metric::RestartWithPartitionsToFirstAckMs, milliseconds(restarted.to_first_ack)),
        Reading(Metric::RestartWithPartitionsToAllEndsMs, milliseconds(restarted.to_all_ends)),
        Reading(Metric::RestartWithPartitionsMemoryMb, private_memory_mb(&restarted.broker)?),
        Reading(Metric::RestartWithPartitionsOpenFiles, open_files(pid)? as f64),
        Reading(Metric::RestartWithPartitionsIdleCpuSeconds, idle_cpu),
    ])
}

fn restart(lab: &Lab, peer: Peer, held: Held) -> Result<Restarted, MeasureError> {
    let mut broker = lab.start_with(peer, Settings::DEFAULT)?;
    lab.block_on(load::fill(broker.address, held))?;
    lab.kill_and_restart(&mut broker)?;
    let (to_first_ack, to_all_ends) = lab.block_on(use_again(&broker, held))?;
    Ok(Restarted { broker, to_first_ack, to_all_ends })
}

async fn use_again(broker: &RunningBroker, held: Held) -> Result<(Duration, Duration), LoadError> {
    let client = load::connect(broker.address).await?;
    let (topic, partition) = load::place(held.partitions - 1);
    client.produce(&topic, partition, load::one_record(b"another")?, Acks::All).await?;
    let to_first_ack = broker.started_at.elapsed();
    let found = load::count_records(&client, held).await?;
    let to_all_ends = broker.started_at.elapsed();
    let acknowledged = i64::from(held.partitions) * held.batches as i64 + 1;
    if found < acknowledged {
        return Err(LoadError::Lost { found, acknowledged });
    }
    Ok((to_first_ack, to_all_ends))
}

fn private_memory_mb(broker: &RunningBroker) -> Result<f64, MeasureError> {
    Ok(anonymous_memory_bytes(broker.pid())? as f64 / 1e6)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
