//! The cost to the broker of the round's records going out, and how fast Kafka's own consumer gets them.

use super::{Measure, Measurement, Readings, round_topic};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::{Peer, RunningBroker};
use crate::process::cpu_seconds;
use crate::sample::{Metric, Reading, Take};

pub(super) const CONSUME: Measurement = Measurement {
    name: "consume",
    measure: Measure::Kept(measure),
    figures: &[
        Figure {
            name: "broker CPU to consume, warm",
            unit: "s",
            metric: Metric::ConsumeCpuSeconds,
            take: Take::Warm,
            targets: &[Target::AtMost(0.7, Peer::Kafka)],
        },
        Figure {
            name: "broker CPU to consume, first run",
            unit: "s",
            metric: Metric::ConsumeCpuSeconds,
            take: Take::Cold,
            targets: &[],
        },
        Figure {
            name: "broker CPU per GB consumed, warm",
            unit: "s/GB",
            metric: Metric::ConsumeCpuSecondsPerGb,
            take: Take::Warm,
            targets: &[],
        },
        Figure {
            name: "kafka-consumer-perf-test, best warm run",
            unit: "records/s",
            metric: Metric::ConsumedPerSecond,
            take: Take::WarmBest,
            targets: &[],
        },
    ],
};

fn measure(lab: &Lab, broker: &RunningBroker, round: usize) -> Readings {
    let before = cpu_seconds(broker.pid())?;
    let rate = lab.perf_tools(broker).consume(&round_topic(round), lab.workload.records)?;
    let cpu = cpu_seconds(broker.pid())? - before;
    Ok(vec![
        Reading(Metric::ConsumeCpuSeconds, cpu),
        Reading(Metric::ConsumeCpuSecondsPerGb, cpu / lab.workload.gigabytes()),
        Reading(Metric::ConsumedPerSecond, rate),
    ])
}
