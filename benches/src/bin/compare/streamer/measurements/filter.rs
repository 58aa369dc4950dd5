//! JSON parsed and filtered, for which an engine needs no memory of what was before.

use super::{Measurement, throughput};
use crate::figure::Target;
use crate::streamer::query::Query;
use crate::streamer::samples::Figure;
use crate::streamer::topics::Topic;

pub(super) const FILTER: Measurement = Measurement {
    name: "filter",
    topic: Topic::Many,
    measure: |lab, engine| {
        let query = Query::filtered(Topic::Many).with_batches_of(lab.workload.records_per_batch);
        let run = lab.run(engine, &query)?;
        run.check_records(lab.workload.records)?;
        Ok(throughput(&run))
    },
    figures: &[
        Figure {
            name: "JSON parsed and filtered, warm",
            unit: "rows/s",
            target: Some(Target::Floor(2_500_000.0)),
        },
        Figure { name: "CPU for all of it", unit: "s", target: Some(Target::Limit(3.0)) },
        Figure { name: "private memory of it", unit: "MB", target: None },
        Figure { name: "resident memory of it", unit: "MB", target: Some(Target::Limit(150.0)) },
    ],
};
