//! From the start of the process to a port that is open, and to a record that it has acknowledged.

use std::time::Duration;

use bytes::Bytes;
use ottla_client::{Acks, Client, ClientConfig};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, BuildError};

use super::{Life, MeasureError, Measurement};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::peers::RunningBroker;
use crate::sample::{Metric, Reading, Take};

pub(super) const START: Measurement = Measurement {
    name: "start",
    life: Life::Fresh,
    measure,
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

/// A broker that elects a leader first is asked again this often.
const RETRY_BACKOFF: Duration = Duration::from_millis(5);

fn measure(lab: &Lab, broker: &RunningBroker, _: usize) -> Result<Vec<Reading>, MeasureError> {
    lab.block_on(produce_one(broker))?;
    let start_to_first_ack = broker.started_at.elapsed();
    Ok(vec![
        Reading(Metric::StartToOpenPortMs, milliseconds(broker.start_to_open_port)),
        Reading(Metric::StartToFirstAckMs, milliseconds(start_to_first_ack)),
    ])
}

/// Into a topic that the broker makes for it.
async fn produce_one(broker: &RunningBroker) -> Result<(), MeasureError> {
    let config =
        ClientConfig { retry_backoff: RETRY_BACKOFF, ..ClientConfig::new(broker.address.to_string()) };
    let client = Client::connect(config).await?;
    client.produce("first", 0, one_record()?, Acks::All).await?;
    Ok(())
}

fn one_record() -> Result<Bytes, BuildError> {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(0, None, Some(b"the first record"))?;
    batch.build()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
