//! The cost to the broker of records coming in, and how fast Kafka's own producer gets them in.

use super::{Measure, Measurement, Readings, round_topic};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::{Peer, RunningBroker};
use crate::process::cpu_seconds;
use crate::sample::{Metric, Reading, Take};

pub(super) const PRODUCE: Measurement = Measurement {
    name: "produce",
    measure: Measure::Kept(measure),
    figures: &[
        Figure {
            name: "broker CPU to produce, warm",
            unit: "s",
            metric: Metric::ProduceCpuSeconds,
            take: Take::Warm,
            targets: &[Target::AtMost(0.5, Peer::Kafka), Target::AtMost(0.8, Peer::Kfake)],
        },
        Figure {
            name: "broker CPU to produce, first run",
            unit: "s",
            metric: Metric::ProduceCpuSeconds,
            take: Take::Cold,
            targets: &[],
        },
        Figure {
            name: "broker CPU per GB produced, warm",
            unit: "s/GB",
            metric: Metric::ProduceCpuSecondsPerGb,
            take: Take::Warm,
            targets: &[],
        },
        Figure {
            name: "kafka-producer-perf-test, best warm run",
            unit: "records/s",
            metric: Metric::ProducedPerSecond,
            take: Take::WarmBest,
            targets: &[Target::AtLeast(1.0, Peer::Kafka), Target::AtLeast(1.0, Peer::Kfake)],
        },
    ],
};

fn measure(lab: &Lab, broker: &RunningBroker, round: usize) -> Readings {
    let workload = &lab.workload;
    let before = cpu_seconds(broker.pid())?;
    let rate =
        lab.perf_tools(broker).produce(&round_topic(round), workload.records, workload.record_bytes)?;
    let cpu = cpu_seconds(broker.pid())? - before;
    Ok(vec![
        Reading(Metric::ProduceCpuSeconds, cpu),
        Reading(Metric::ProduceCpuSecondsPerGb, cpu / workload.gigabytes()),
        Reading(Metric::ProducedPerSecond, rate),
    ])
}
