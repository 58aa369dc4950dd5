//! From the start of the process to a port that is open, and to a record that it has acknowledged.

use std::time::Duration;

use ottla_client::Acks;

use super::{Measure, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::load::{self, LoadError};
use crate::peers::RunningBroker;
use crate::sample::{Metric, Reading, Take};

pub(super) const START: Measurement = Measurement {
    name: "start",
    measure: Measure::Fresh(measure),
    figures: &[
        Figure {
            name: "start of the process to an open port",
            unit: "ms",
            metric: Metric::StartToOpenPortMs,
            take: Take::Median,
            targets: &[],
        },
        Figure {
            name: "start of the process to the first acknowledged record",
            unit: "ms",
            metric: Metric::StartToFirstAckMs,
            take: Take::Median,
            targets: &[Target::Limit(20.0)],
        },
    ],
};

fn measure(lab: &Lab, broker: &RunningBroker, _: usize) -> Readings {
    lab.block_on(produce_one(broker))?;
    let start_to_first_ack = broker.started_at.elapsed();
    Ok(vec![
        Reading(Metric::StartToOpenPortMs, milliseconds(broker.start_to_open_port)),
        Reading(Metric::StartToFirstAckMs, milliseconds(start_to_first_ack)),
    ])
}

/// Into a topic that the broker makes for it.
async fn produce_one(broker: &RunningBroker) -> Result<(), LoadError> {
    let client = load::connect(broker.address).await?;
    client.produce("first", 0, load::one_record(b"the first record")?, Acks::All).await?;
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
