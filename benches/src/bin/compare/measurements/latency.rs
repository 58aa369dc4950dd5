//! From a producer's `send` to a consumer's `poll`, one record at a time.

use super::{Measure, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::RunningBroker;
use crate::sample::{Metric, Reading, Take};

pub(super) const LATENCY: Measurement = Measurement {
    name: "end-to-end latency",
    measure: Measure::Kept(measure),
    figures: &[
        Figure {
            name: "kafka-e2e-latency average, warm",
            unit: "ms",
            metric: Metric::LatencyMs,
            take: Take::Warm,
            targets: &[Target::Limit(0.6)],
        },
        Figure {
            name: "kafka-e2e-latency average, first run",
            unit: "ms",
            metric: Metric::LatencyMs,
            take: Take::Cold,
            targets: &[],
        },
    ],
};

fn measure(lab: &Lab, broker: &RunningBroker, round: usize) -> Readings {
    let workload = &lab.workload;
    let topic = format!("compare-latency-{round}");
    let average_ms =
        lab.perf_tools(broker).end_to_end_latency(&topic, workload.latency_records, workload.record_bytes)?;
    Ok(vec![Reading(Metric::LatencyMs, average_ms)])
}
