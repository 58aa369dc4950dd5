//! Counts and means in windows of ten seconds by a thousand keys, final once the watermark has passed.

use super::{Measurement, throughput};
use crate::figure::Target;
use crate::streamer::query::Query;
use crate::streamer::samples::Figure;
use crate::streamer::topics::Topic;

pub(super) const WINDOWS: Measurement = Measurement {
    name: "windows",
    topic: Topic::Many,
    measure: |lab, engine| {
        let query = Query::windowed(Topic::Many).with_batches_of(lab.workload.records_per_batch);
        let run = lab.run(engine, &query)?;
        run.check_records(lab.workload.records)?;
        Ok(throughput(&run))
    },
    figures: &[
        Figure {
            name: "in 10 s windows by 1,000 keys, warm",
            unit: "rows/s",
            target: Some(Target::Floor(1_500_000.0)),
        },
        Figure { name: "CPU for all of the windows", unit: "s", target: Some(Target::Limit(5.0)) },
        Figure { name: "private memory of the windows", unit: "MB", target: None },
        Figure { name: "resident memory of the windows", unit: "MB", target: Some(Target::Limit(150.0)) },
    ],
};
