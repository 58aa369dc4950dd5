//! Producers that wait until each of their batches is on the disk: how much of an fsync do they share?

use super::{Measure, MeasureError, Measurement, Readings};
use crate::figure::{Figure, Target};
use crate::lab::Lab;
use crate::load;
use crate::peers::{Peer, Settings};
use crate::sample::{Metric, Reading, Take};

pub(super) const FSYNC: Measurement = Measurement {
    name: "acks=all with an fsync before each",
    measure: Measure::Own(measure),
    figures: &[
        Figure {
            name: "acks=all, each after an fsync, 1 producer",
            unit: "acks/s",
            metric: Metric::SyncedAcksOfOnePerSecond,
            take: Take::Median,
            targets: &[],
        },
        Figure {
            name: "acks=all, each after an fsync, 64 producers",
            unit: "acks/s",
            metric: Metric::SyncedAcksOfManyPerSecond,
            take: Take::Median,
            targets: &[],
        },
        Figure {
            name: "acks=all, each after an fsync, 64 producers over 1",
            unit: "×",
            metric: Metric::SyncedAcksOfManyOverOne,
            take: Take::Median,
            targets: &[Target::Floor(5.0)],
        },
    ],
};

const PRODUCERS: usize = 64;
const TOPIC: &str = "synced";

/// Kafka syncs in the append when a topic says so; kfake syncs if it is told to.
const SETTINGS: Settings = Settings { ottla: &[], kafka: &[], kfake: &["-sync-writes"] };
const CONFIGS: &[(&str, &str)] = &[("flush.messages", "1")];

fn measure(lab: &Lab, peer: Peer) -> Readings {
    let broker = lab.start_with(peer, SETTINGS)?;
    let batch = load::one_record(&vec![b'x'; lab.workload.record_bytes as usize])?;
    let (one, many) = lab.block_on(async {
        let client = load::connect(broker.address).await?;
        load::create_topic(&client, TOPIC, CONFIGS).await?;
        let acks = |producers| {
            load::acks_per_second(broker.address, TOPIC, producers, &batch, lab.workload.load_time)
        };
        // The first load is for a JVM to compile its hot paths.
        acks(PRODUCERS).await?;
        Ok::<_, MeasureError>((acks(1).await?, acks(PRODUCERS).await?))
    })?;
    Ok(vec![
        Reading(Metric::SyncedAcksOfOnePerSecond, one),
        Reading(Metric::SyncedAcksOfManyPerSecond, many),
        Reading(Metric::SyncedAcksOfManyOverOne, many / one),
    ])
}
