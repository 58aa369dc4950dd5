//! What a batch did and how long it took, for its progress.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Batch, StreamingQuery};
use crate::batch_run::BatchRun;
use crate::operators::context::EventTimeStats;
use crate::progress::{SinkProgress, SourceProgress, StreamingQueryProgress, iso_timestamp, rows_per_second};
use crate::source::Offset;

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
            let offset = |offsets: &[Option<Offset>]| offsets.get(index).cloned().flatten();
            let (end, latest) = (offset(&batch.to), offset(&batch.latest));
            SourceProgress {
                description: source.description(),
                start_offset: offset(&batch.from).filter(|_| !batch.is_first).map(json),
                latest_offset: latest.clone().map(json),
                num_input_rows: rows,
                input_rows_per_second: rows_per_second(rows, since_last),
                processed_rows_per_second: rows_per_second(rows, Some(elapsed)),
                metrics: end.as_ref().map_or_else(BTreeMap::new, |end| source.metrics(end, latest.as_ref())),
                end_offset: end.map(json),
            }
        });
        let mut duration_ms = timing.durations_ms.clone();
        duration_ms.insert("triggerExecution", as_ms(elapsed));
        StreamingQueryProgress {
            id: self.checkpoint.query_id().to_owned(),
            run_id: self.run_id.to_string(),
            name: self.name.clone(),
            timestamp: iso_timestamp(timing.timestamp_ms),
            batch_id: batch.id,
            batch_duration: as_ms(elapsed),
            num_input_rows,
            input_rows_per_second: rows_per_second(num_input_rows, since_last),
            processed_rows_per_second: rows_per_second(num_input_rows, Some(elapsed)),
            duration_ms,
            event_time: event_time(batch.metadata.batch_watermark_ms, &run.event_times),
            state_operators: run.state_operators,
            sources: sources.collect(),
            sink: SinkProgress {
                description: self.runner.sink_description(),
                num_output_rows: run.output_rows,
            },
            observed_metrics: match run.malformed_rows {
                0 => BTreeMap::new(),
                rows => BTreeMap::from([("malformed", BTreeMap::from([("rows", rows)]))]),
            },
        }
    }
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Offsets are JSON; one that is not stands there as the text that it is.
fn json(offset: Offset) -> Value {
    serde_json::from_str(&offset.0).unwrap_or(Value::String(offset.0))
}

/// Empty for a query without a watermark.
fn event_time(watermark_ms: i64, inputs: &[(i64, EventTimeStats)]) -> BTreeMap<&'static str, String> {
    if inputs.is_empty() {
        return BTreeMap::new();
    }
    let mut all = EventTimeStats::default();
    inputs.iter().for_each(|(_, stats)| all.merge(*stats));
    let times = [("avg", all.average_ms()), ("max", all.max_ms()), ("min", all.min_ms())];
    let times = times.into_iter().filter_map(|(name, ms)| Some((name, iso_timestamp(ms?))));
    times.chain([("watermark", iso_timestamp(watermark_ms))]).collect()
}
