//! What is measured. A measurement is one file; the list below is all that registers it.

mod compaction;
mod consume;
mod fsync;
mod latency;
mod memory;
mod produce;
mod restart;
mod start;
mod transactions;

use std::io;
use std::time::Duration;

use ottla_protocol::batch::BuildError;
use thiserror::Error;

use crate::figure::Figure;
use crate::lab::Lab;
use crate::load::LoadError;
use crate::peers::{Peer, RunningBroker, StartError};
use crate::perf_tools::ToolError;
use crate::sample::Reading;

/// In the order in which they run on a broker: a later one may use what an earlier one left in its topics.
const MEASUREMENTS: &[Measurement] = &[
    start::START,
    transactions::FIRST_TRANSACTIONS,
    fsync::FSYNC,
    compaction::COMPACTION,
    restart::WITH_RECORDS,
    restart::WITH_PARTITIONS,
    memory::IDLE,
    produce::PRODUCE,
    consume::CONSUME,
    memory::LOADED,
    latency::LATENCY,
    transactions::TRANSACTIONS,
];

/// Those that have `part` in their name.
pub(crate) fn named(part: &str) -> Vec<&'static Measurement> {
    MEASUREMENTS.iter().filter(|measurement| measurement.name.contains(part)).collect()
}

pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) measure: Measure,
    pub(crate) figures: &'static [Figure],
}

/// What a measurement is taken of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    /// In each round a broker that was started for it.
    Fresh(MeasureBroker),
    /// Brokers that it starts itself, with settings of its own, while no other runs.
    Own(MeasurePeer),
    /// The broker that runs through all rounds.
    Kept(MeasureBroker),
}

/// Gets the round, too.
pub(crate) type MeasureBroker = fn(&Lab, &RunningBroker, usize) -> Readings;
pub(crate) type MeasurePeer = fn(&Lab, Peer) -> Readings;
pub(crate) type Readings = Result<Vec<Reading>, MeasureError>;

#[derive(Debug, Error)]
pub(crate) enum MeasureError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("cannot read the process's figures: {0}")]
    Process(#[from] io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the log is not compacted after {after:?}")]
    NotCompacted { after: Duration },
    #[error("cannot make a record: {0}")]
    Build(#[from] BuildError),
}

/// The topic of a round: produced into, then consumed from the beginning.
fn round_topic(round: usize) -> String {
    format!("compare-{round}")
}
