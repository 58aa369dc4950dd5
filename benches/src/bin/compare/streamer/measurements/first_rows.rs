//! From the start of the process to a row on the console.

use std::time::Duration;

use super::Measurement;
use crate::figure::Target;
use crate::streamer::query::Query;
use crate::streamer::run::RunError;
use crate::streamer::samples::Figure;
use crate::streamer::topics::Topic;

pub(super) const FIRST_ROWS: Measurement = Measurement {
    name: "first rows",
    topic: Topic::Few,
    measure: |lab, engine| {
        let run = lab.run(engine, &Query::shown(Topic::Few))?;
        let nothing = RunError::Incomplete { what: "rows on the console", found: 0, expected: 1 };
        Ok(vec![run.first_row_after.as_ref().map(Duration::as_secs_f64).ok_or(nothing)?])
    },
    figures: &[Figure {
        name: "start of the process to first rows on the console",
        unit: "s",
        target: Some(Target::Limit(0.15)),
    }],
};
