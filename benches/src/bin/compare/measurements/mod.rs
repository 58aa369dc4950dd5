//! What is measured. A measurement is one file; the list below is all that registers it.

mod consume;
mod latency;
mod memory;
mod produce;
mod start;

use std::io;

use ottla_client::{ConnectError, RequestError};
use ottla_protocol::batch::BuildError;
use thiserror::Error;

use crate::figure::Figure;
use crate::lab::Lab;
use crate::peers::RunningBroker;
use crate::perf_tools::ToolError;
use crate::sample::Reading;

/// In the order in which they run on a broker: a later one may use what an earlier one left in its topics.
pub(crate) const MEASUREMENTS: &[Measurement] =
    &[start::START, memory::IDLE, produce::PRODUCE, consume::CONSUME, memory::LOADED, latency::LATENCY];

pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) life: Life,
    pub(crate) measure: fn(&Lab, &RunningBroker, usize) -> Result<Vec<Reading>, MeasureError>,
    pub(crate) figures: &'static [Figure],
}

/// What kind of broker a measurement needs in each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// One that was started for it.
    Fresh,
    /// The one that runs through all rounds.
    Kept,
}

#[derive(Debug, Error)]
pub(crate) enum MeasureError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("cannot read the process's figures: {0}")]
    Process(#[from] io::Error),
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    #[error("cannot make a record: {0}")]
    Build(#[from] BuildError),
    #[error("the first record was not acknowledged: {0}")]
    Produce(#[from] RequestError),
}

/// The topic of a round: produced into, then consumed from the beginning.
fn round_topic(round: usize) -> String {
    format!("compare-{round}")
}
