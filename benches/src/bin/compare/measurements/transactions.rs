//! How fast Kafka's own producer gets records in, in transactions that each last a millisecond: on a broker that was just
//! started, as a test or a laptop has it, and on one that is warm. There the producer itself becomes the limit, which the
//! same producer without transactions shows.

use super::{Measure, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::{Peer, RunningBroker};
use crate::process::cpu_seconds;
use crate::sample::{Metric, Reading, Take};

pub(super) const FIRST_TRANSACTIONS: Measurement = Measurement {
    name: "first transactions",
    measure: Measure::Fresh(measure_first),
    figures: &[Figure {
        name: "transactions of 1 ms on a broker just started, kafka-producer-perf-test",
        unit: "records/s",
        metric: Metric::FirstInTransactionsPerSecond,
        take: Take::Median,
        targets: &[Target::AtLeast(8.0, Peer::Kafka), Target::AtLeast(1.0, Peer::Kfake)],
    }],
};

pub(super) const TRANSACTIONS: Measurement = Measurement {
    name: "transactions",
    measure: Measure::Kept(measure),
    figures: &[
        Figure {
            name: "transactions of 1 ms, kafka-producer-perf-test, best warm run",
            unit: "records/s",
            metric: Metric::ProducedInTransactionsPerSecond,
            take: Take::WarmBest,
            targets: &[Target::AtLeast(1.0, Peer::Kafka), Target::AtLeast(1.0, Peer::Kfake)],
        },
        Figure {
            name: "the same over the producer's rate without transactions, warm",
            unit: "×",
            metric: Metric::TransactionalOverPlain,
            take: Take::Warm,
            targets: &[],
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

fn measure_first(lab: &Lab, broker: &RunningBroker, _: usize) -> Readings {
    let workload = &lab.workload;
    let (records, record_bytes) = (workload.first_transactional_records, workload.record_bytes);
    let rate = lab.perf_tools(broker).produce_in_transactions("first-transactions", records, record_bytes)?;
    Ok(vec![Reading(Metric::FirstInTransactionsPerSecond, rate)])
}

fn measure(lab: &Lab, broker: &RunningBroker, round: usize) -> Readings {
    let workload = &lab.workload;
    let (records, record_bytes) = (workload.transactional_records, workload.record_bytes);
    let tools = lab.perf_tools(broker);
    let plain = tools.produce_with_defaults(&format!("plain-{round}"), records, record_bytes)?;
    let before = cpu_seconds(broker.pid())?;
    let rate = tools.produce_in_transactions(&format!("transactions-{round}"), records, record_bytes)?;
    let cpu = cpu_seconds(broker.pid())? - before;
    Ok(vec![
        Reading(Metric::ProducedInTransactionsPerSecond, rate),
        Reading(Metric::TransactionalOverPlain, rate / plain),
        Reading(Metric::TransactionalCpuSecondsPerMillion, cpu / (records as f64 / 1e6)),
    ])
}
