//! How fast Kafka's own producer gets records in, in transactions that each last a millisecond.

use super::{Measure, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::{Peer, RunningBroker};
use crate::process::cpu_seconds;
use crate::sample::{Metric, Reading, Take};

pub(super) const TRANSACTIONS: Measurement = Measurement {
    name: "transactions",
    measure: Measure::Kept(measure),
    figures: &[
        Figure {
            name: "transactions of 1 ms, kafka-producer-perf-test",
            unit: "records/s",
            metric: Metric::ProducedInTransactionsPerSecond,
            take: Take::WarmBest,
            targets: &[Target::AtLeast(8.0, Peer::Kafka), Target::AtLeast(1.0, Peer::Kfake)],
        },
        Figure {
            name: "transactions of 1 ms, broker CPU per million records, warm",
            unit: "s",
            metric: Metric::TransactionalCpuSecondsPerMillion,
            take: Take::Warm,
            targets: &[],
        },
    ],
};

fn measure(lab: &Lab, broker: &RunningBroker, round: usize) -> Readings {
    let workload = &lab.workload;
    let topic = format!("transactions-{round}");
    let before = cpu_seconds(broker.pid())?;
    let rate = lab.perf_tools(broker).produce_in_transactions(
        &topic,
        workload.transactional_records,
        workload.record_bytes,
    )?;
    let cpu = cpu_seconds(broker.pid())? - before;
    Ok(vec![
        Reading(Metric::ProducedInTransactionsPerSecond, rate),
        Reading(
            Metric::TransactionalCpuSecondsPerMillion,
            cpu / (workload.transactional_records as f64 / 1e6),
        ),
    ])
}
