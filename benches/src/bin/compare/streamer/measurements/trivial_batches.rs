//! What a micro-batch costs that has one record: both logs, and for a window its state.

use super::Measurement;
use crate::figure::Target;
use crate::streamer::Lab;
use crate::streamer::engine::Engine;
use crate::streamer::progress::Progress;
use crate::streamer::query::Query;
use crate::streamer::run::RunError;
use crate::streamer::samples::{Figure, mean_of_the_middle};
use crate::streamer::topics::Topic;

pub(super) const STATELESS: Measurement = Measurement {
    name: "trivial batch",
    topic: Topic::Few,
    measure: |lab, engine| from_batch_to_batch(lab, engine, Query::filtered(Topic::Few)),
    figures: &[Figure {
        name: "a trivial stateless micro-batch, both logs written",
        unit: "ms",
        target: Some(Target::Limit(4.0)),
    }],
};

pub(super) const WINDOWED: Measurement = Measurement {
    name: "trivial windowed batch",
    topic: Topic::Few,
    measure: |lab, engine| from_batch_to_batch(lab, engine, Query::windowed(Topic::Few)),
    figures: &[Figure {
        name: "a trivial windowed micro-batch, state written",
        unit: "ms",
        target: Some(Target::Limit(10.0)),
    }],
};

/// From the beginning of a batch to that of the next, which follows at once: there is always a record left.
fn from_batch_to_batch(lab: &Lab, engine: Engine, query: Query) -> Result<Vec<f64>, RunError> {
    let run = lab.run(engine, &query.with_batches_of(1))?;
    run.check_records(lab.workload.trivial_batches)?;
    let began: Vec<_> = run.batches.iter().filter_map(Progress::began_ms).collect();
    let pairs = began.iter().zip(began.iter().skip(1));
    // A pair over midnight is none.
    let times = pairs.filter_map(|(one, next)| next.checked_sub(*one)).map(|ms| ms as f64);
    Ok(vec![mean_of_the_middle(times.collect())])
}
