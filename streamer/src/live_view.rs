//! The line that a terminal shows of a query while it runs: rates, lag, watermark, state, late and malformed rows.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::progress::StreamingQueryProgress;

/// What a query has done so far, batch by batch.
#[derive(Clone, Debug, Default)]
pub struct LiveView {
    batches: u64,
    rows: u64,
    late_rows: u64,
    malformed_rows: u64,
    last: Option<StreamingQueryProgress>,
}

impl LiveView {
    pub fn update(&mut self, progress: &StreamingQueryProgress) {
        self.batches += 1;
        self.rows += progress.num_input_rows;
        self.late_rows += late_rows(progress);
        self.malformed_rows +=
            progress.observed_metrics.get("malformed").and_then(|metrics| metrics.get("rows")).unwrap_or(&0);
        self.last = Some(progress.clone());
    }

    /// One line without colours, for a query that has run for so long.
    pub fn line(&self, elapsed: Duration) -> String {
        let Some(last) = &self.last else {
            return "no batch yet".to_owned();
        };
        let seconds = elapsed.as_secs_f64().max(0.001);
        let mut line = format!(
            "batch {} · {} rows ({}/s now, {}/s in all) · {} ms a batch",
            last.batch_id,
            thousands(self.rows),
            thousands(last.processed_rows_per_second.round() as u64),
            thousands((self.rows as f64 / seconds).round() as u64),
            last.batch_duration,
        );
        // Writing to a String cannot fail.
        if let Some(lag) = lag(last) {
            let _ = write!(line, " · lag {}", thousands(lag));
        }
        if let Some(watermark) = last.event_time.get("watermark") {
            let _ = write!(line, " · watermark {watermark}");
        }
        if !last.state_operators.is_empty() {
            let state: u64 = last.state_operators.iter().map(|operator| operator.num_rows_total).sum();
            let _ = write!(line, " · state {} rows · late {}", thousands(state), thousands(self.late_rows));
        }
        if self.malformed_rows > 0 {
            let _ = write!(line, " · malformed {}", thousands(self.malformed_rows));
        }
        line
    }
}

fn late_rows(progress: &StreamingQueryProgress) -> u64 {
    progress.state_operators.iter().map(|operator| operator.num_rows_dropped_by_watermark).sum()
}

/// How many records of Kafka are still to be read.
fn lag(progress: &StreamingQueryProgress) -> Option<u64> {
    let lags = progress.sources.iter().filter_map(|source| {
        let latest = source.latest_offset.as_ref()?.as_object()?;
        let end = source.end_offset.as_ref()?;
        let behind = latest.iter().flat_map(|(topic, partitions)| {
            let partitions = partitions.as_object().into_iter().flatten();
            partitions.filter_map(move |(partition, latest)| {
                let end = end.get(topic)?.get(partition).and_then(Value::as_u64)?;
                Some(latest.as_u64()?.saturating_sub(end))
            })
        });
        Some(behind.sum::<u64>())
    });
    lags.reduce(u64::saturating_add)
}

/// `1,234,567`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::progress::{SinkProgress, SourceProgress, StateOperatorProgress};

    fn progress() -> StreamingQueryProgress {
        StreamingQueryProgress {
            id: "i".to_owned(),
            run_id: "r".to_owned(),
            name: None,
            timestamp: String::new(),
            batch_id: 7,
            batch_duration: 12,
            num_input_rows: 1_200,
            input_rows_per_second: 0.0,
            processed_rows_per_second: 100_000.4,
            duration_ms: BTreeMap::new(),
            event_time: BTreeMap::from([("watermark", "2026-01-01T00:00:15.000Z".to_owned())]),
            state_operators: vec![StateOperatorProgress {
                operator_name: "stateStoreSave",
                num_rows_total: 4_321,
                num_rows_updated: 0,
                all_updates_time_ms: 0,
                num_rows_removed: 0,
                all_removals_time_ms: 0,
                commit_time_ms: 0,
                memory_used_bytes: 0,
                num_rows_dropped_by_watermark: 2,
                num_shuffle_partitions: 1,
                num_state_store_instances: 1,
                custom_metrics: BTreeMap::new(),
            }],
            sources: vec![SourceProgress {
                description: String::new(),
                start_offset: None,
                end_offset: Some(json!({"t": {"0": 10, "1": 5}})),
                latest_offset: Some(json!({"t": {"0": 10, "1": 1_005}})),
                num_input_rows: 1_200,
                input_rows_per_second: 0.0,
                processed_rows_per_second: 0.0,
                metrics: BTreeMap::new(),
            }],
            sink: SinkProgress { description: String::new(), num_output_rows: 0 },
            observed_metrics: BTreeMap::from([("malformed", BTreeMap::from([("rows", 3)]))]),
        }
    }

    #[test]
    fn says_rates_lag_watermark_state_and_rows_that_are_late_or_malformed() {
        let mut view = LiveView::default();
        assert_eq!(view.line(Duration::ZERO), "no batch yet");
        view.update(&progress());
        view.update(&progress());
        assert_eq!(
            view.line(Duration::from_secs(2)),
            "batch 7 · 2,400 rows (100,000/s now, 1,200/s in all) · 12 ms a batch · lag 1,000 · \
             watermark 2026-01-01T00:00:15.000Z · state 4,321 rows · late 4 · malformed 6"
        );
    }
}
