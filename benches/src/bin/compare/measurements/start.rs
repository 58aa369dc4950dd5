//! From the start of the process to a port that is open.

use super::{Life, MeasureError, Measurement};
use crate::figure::Figure;
use crate::lab::Lab;
use crate::peers::RunningBroker;
use crate::sample::{Metric, Reading, Take};

pub(super) const START: Measurement = Measurement {
    name: "start",
    life: Life::Fresh,
    measure,
    figures: &[Figure {
        name: "start of the process to an open port",
        unit: "ms",
        metric: Metric::StartToOpenPortMs,
        take: Take::Median,
        targets: &[],
    }],
};

fn measure(_: &Lab, broker: &RunningBroker, _: usize) -> Result<Vec<Reading>, MeasureError> {
    Ok(vec![Reading(Metric::StartToOpenPortMs, broker.start_to_open_port.as_secs_f64() * 1000.0)])
}
