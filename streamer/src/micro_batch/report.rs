//! What a batch did and how long it took, for its progress.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Batch, StreamingQuery};
use crate::batch_run::BatchRun;
use crate::kafka::offsets::PartitionOffsets;
use crate::progress::{
    SinkProgress, SourceProgress, StreamingQueryProgress, iso_timestamp, offsets_behind_latest,
    rows_per_second,
};

/// How long the phases of a batch took.
pub(super) struct Timing {
    started: Instant,
    timestamp_ms: i64,
    last_mark: Instant,
    durations_ms: BTreeMap<&'static str, u64>,
}

impl Timing {
    pub(super) fn start(started: Instant, timestamp_ms: i64) -> Timing {
        Timing { started, timestamp_ms, last_mark: started, durations_ms: BTreeMap::new() }
    }

    /// Ends a phase.
    pub(super) fn mark(&mut self, phase: &'static str) {
        let now = Instant::now();
        self.durations_ms.insert(phase, as_ms(now - self.last_mark));
        self.last_mark = now;
    }
}

impl StreamingQuery {
    pub(super) fn progress(
        &mut self,
        batch: &Batch,
        timing: &Timing,
        run: BatchRun,
    ) -> StreamingQueryProgress {
        let elapsed = timing.started.elapsed();
        let since_last = self.last_trigger.replace(timing.started).map(|last| timing.started - last);
        let num_input_rows = run.input_rows.iter().sum();
        let sources = (0..).zip(&self.sources).map(|(index, source): (usize, _)| {
            let rows = run.input_rows.get(index).copied().unwrap_or_default();
            let latest = batch.latest.as_ref().and_then(|latest| latest.get(index));
            let end = batch.to.get(index).cloned().unwrap_or_default();
            SourceProgress {
                description: source.description(),
                start_offset: batch.from.get(index).filter(|_| !batch.is_first).map(PartitionOffsets::to_map),
                latest_offset: latest.map(PartitionOffsets::to_map),
                num_input_rows: rows,
                input_rows_per_second: rows_per_second(rows, since_last),
                processed_rows_per_second: rows_per_second(rows, Some(elapsed)),
                metrics: offsets_behind_latest(&end, latest),
                end_offset: end.to_map(),
            }
        });
        let mut duration_ms = timing.durations_ms.clone();
        duration_ms.insert("triggerExecution", as_ms(elapsed));
        StreamingQueryProgress {
            id: self.checkpoint.query_id().to_owned(),
            run_id: self.run_id.to_string(),
            name: None,
            timestamp: iso_timestamp(timing.timestamp_ms),
            batch_id: batch.id,
            batch_duration: as_ms(elapsed),
            num_input_rows,
            input_rows_per_second: rows_per_second(num_input_rows, since_last),
            processed_rows_per_second: rows_per_second(num_input_rows, Some(elapsed)),
            duration_ms,
            state_operators: run.state_operator.into_iter().collect(),
            sources: sources.collect(),
            sink: SinkProgress {
                description: self.runner.sink_description(),
                num_output_rows: run.output_rows,
            },
        }
    }
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
