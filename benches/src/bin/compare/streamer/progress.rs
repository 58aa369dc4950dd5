//! Spark's `StreamingQueryProgress`, as far as it is measured.

use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    pub(super) num_input_rows: u64,
    duration_ms: Durations,
    #[serde(default)]
    state_operators: Vec<StateOperator>,
    /// When the batch began, as ISO 8601 in UTC.
    timestamp: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Durations {
    trigger_execution: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateOperator {
    num_rows_total: u64,
}

#[derive(Deserialize)]
struct ProgressLine {
    progress: Progress,
}

impl Progress {
    /// `None` if the line is something else.
    pub(super) fn parse(line: &str) -> Option<Progress> {
        line.starts_with("{\"progress\"")
            .then(|| serde_json::from_str(line).ok())
            .flatten()
            .map(|ProgressLine { progress }| progress)
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms.trigger_execution)
    }

    pub(super) fn rows_per_second(&self) -> f64 {
        self.num_input_rows as f64 / self.duration().as_secs_f64().max(0.001)
    }

    /// Of all operators.
    pub(super) fn state_rows(&self) -> u64 {
        self.state_operators.iter().map(|operator| operator.num_rows_total).sum()
    }

    /// Milliseconds since midnight.
    pub(super) fn began_ms(&self) -> Option<u64> {
        let (_, time) = self.timestamp.split_once('T')?;
        let mut parts = time.trim_end_matches('Z').split([':', '.']).map(|part| part.parse::<u64>().ok());
        let [hours, minutes, seconds, ms] = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
        Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"progress": {"timestamp":"2026-11-27T01:02:03.456Z","numInputRows":10,
        "durationMs":{"addBatch":4,"triggerExecution":5},"stateOperators":[{"numRowsTotal":3}]}}"#;

    #[test]
    fn a_line_of_progress_tells_rows_time_and_state() {
        let progress = Progress::parse(LINE).unwrap();
        assert_eq!((progress.rows_per_second(), progress.state_rows()), (2_000.0, 3));
        assert_eq!(progress.began_ms(), Some(3_723_456));
    }

    #[test]
    fn other_lines_are_left_alone() {
        assert_eq!(Progress::parse("Batch: 0"), None);
    }
}
