//! Private memory of the broker before it has done anything, and after the first load in and out.

use super::{Measure, MeasureError, Measurement};
use crate::figure::{Figure, Target};
use crate::peers::RunningBroker;
use crate::process::anonymous_memory_bytes;
use crate::sample::{Metric, Reading, Take};

pub(super) const IDLE: Measurement = Measurement {
    name: "idle memory",
    measure: Measure::Kept(|_, broker, _| {
        Ok(vec![Reading(Metric::IdleMemoryMb, private_memory_mb(broker)?)])
    }),
    figures: &[Figure {
        name: "private memory, idle",
        unit: "MB",
        metric: Metric::IdleMemoryMb,
        take: Take::Cold,
        targets: &[Target::Limit(8.0)],
    }],
};

pub(super) const LOADED: Measurement = Measurement {
    name: "loaded memory",
    measure: Measure::Kept(|_, broker, _| {
        Ok(vec![Reading(Metric::LoadedMemoryMb, private_memory_mb(broker)?)])
    }),
    figures: &[Figure {
        name: "private memory, after the records went in and out once",
        unit: "MB",
        metric: Metric::LoadedMemoryMb,
        take: Take::Cold,
        targets: &[Target::Limit(16.0)],
    }],
};

fn private_memory_mb(broker: &RunningBroker) -> Result<f64, MeasureError> {
    Ok(anonymous_memory_bytes(broker.pid())? as f64 / 1e6)
}
