//! State that grows by a key a record.

use super::{BYTES_PER_MB, Measurement};
use crate::figure::Target;
use crate::streamer::Lab;
use crate::streamer::engine::Engine;
use crate::streamer::query::Query;
use crate::streamer::run::RunError;
use crate::streamer::samples::{Figure, mean};
use crate::streamer::topics::Topic;

pub(super) const LARGE_STATE: Measurement = Measurement {
    name: "large state",
    topic: Topic::Many,
    measure,
    figures: &[
        Figure { name: "state of 5 million keys: first tenth of the batches", unit: "ms", target: None },
        Figure { name: "last tenth of the batches", unit: "ms", target: None },
        Figure { name: "last tenth over first", unit: "×", target: Some(Target::Limit(1.5)) },
        Figure { name: "CPU for all of the state", unit: "s", target: None },
        Figure { name: "private memory of the state", unit: "MB", target: Some(Target::Limit(1_000.0)) },
    ],
};

fn measure(lab: &Lab, engine: Engine) -> Result<Vec<f64>, RunError> {
    let query = Query::counted_by_id(Topic::Many).with_batches_of(lab.workload.keys_per_batch);
    let run = lab.run(engine, &query)?;
    run.check_records(lab.workload.records)?;
    if run.state_rows != lab.workload.records {
        let (found, expected) = (run.state_rows, lab.workload.records);
        return Err(RunError::Incomplete { what: "keys", found, expected });
    }
    let times: Vec<_> = run.batches.iter().map(|batch| batch.duration().as_secs_f64() * 1_000.0).collect();
    // The first batch also starts the engine.
    let times = times.get(1..).unwrap_or_default();
    let tenth = times.len().div_ceil(10);
    let first = mean(times.get(..tenth).unwrap_or_default());
    let last = mean(times.get(times.len() - tenth..).unwrap_or_default());
    Ok(vec![first, last, last / first, run.usage.cpu_seconds, run.usage.private_bytes as f64 / BYTES_PER_MB])
}
