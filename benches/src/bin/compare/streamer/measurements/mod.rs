//! What is measured of the engines. A measurement is one file; the list below is all that registers it.

mod filter;
mod first_rows;
mod large_state;
mod trivial_batches;
mod windows;

use super::Lab;
use super::engine::Engine;
use super::progress::Progress;
use super::run::{Run, RunError};
use super::samples::{Figure, mean_of_the_middle};
use super::topics::Topic;

const MEASUREMENTS: &[Measurement] = &[
    first_rows::FIRST_ROWS,
    trivial_batches::STATELESS,
    trivial_batches::WINDOWED,
    filter::FILTER,
    windows::WINDOWS,
    large_state::LARGE_STATE,
];

/// Those that have `part` in their name.
pub(super) fn named(part: &str) -> Vec<&'static Measurement> {
    MEASUREMENTS.iter().filter(|measurement| measurement.name.contains(part)).collect()
}

pub(super) struct Measurement {
    pub(super) name: &'static str,
    pub(super) topic: Topic,
    /// One value for each figure.
    pub(super) measure: fn(&Lab, Engine) -> Result<Vec<f64>, RunError>,
    pub(super) figures: &'static [Figure],
}

/// The batches before are cold: a JVM has not compiled yet what they run.
const COLD_BATCHES: usize = 2;
const BYTES_PER_MB: f64 = 1e6;

/// Rows per second once warm, CPU seconds, private memory and resident memory of a run.
fn throughput(run: &Run) -> Vec<f64> {
    let warm = run.batches.iter().skip(COLD_BATCHES);
    let rates = warm.map(Progress::rows_per_second).collect();
    let mb = |bytes: u64| bytes as f64 / BYTES_PER_MB;
    let usage = run.usage;
    vec![mean_of_the_middle(rates), usage.cpu_seconds, mb(usage.private_bytes), mb(usage.resident_bytes)]
}
