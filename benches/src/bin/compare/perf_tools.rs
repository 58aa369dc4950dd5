//! Kafka's own perf tools, and the figures they print.

use std::io;
use std::process::Command;

use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum ToolError {
    #[error("cannot run java: {0}")]
    Java(#[from] io::Error),
    #[error("{tool} failed: {message}")]
    Failed { tool: &'static str, message: String },
    #[error("{tool} printed no figure where one was expected: {line}")]
    Unreadable { tool: &'static str, line: String },
}

/// Runs the tools of one Kafka installation against one broker.
#[derive(Debug)]
pub(crate) struct PerfTools<'a> {
    pub(crate) class_path: &'a str,
    pub(crate) bootstrap_servers: String,
}

/// Kafka's log goes to stderr, which is read only when a tool fails.
pub(crate) const QUIET: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";

const PRODUCER: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER: &str = "org.apache.kafka.tools.ConsumerPerformance";
const LATENCY: &str = "org.apache.kafka.tools.EndToEndLatency";

impl PerfTools<'_> {
    /// `kafka-producer-perf-test` with `acks=1 linger.ms=5 batch.size=65536`; returns records per second.
    pub(crate) fn produce(&self, topic: &str, records: u64, record_bytes: u64) -> Result<f64, ToolError> {
        let settings = ["--command-property", "acks=1", "linger.ms=5", "batch.size=65536"];
        self.produce_as(topic, records, record_bytes, &settings)
    }

    /// `kafka-producer-perf-test` as its defaults are, which those of its transactions are, too; returns records per second.
    pub(crate) fn produce_with_defaults(
        &self,
        topic: &str,
        records: u64,
        record_bytes: u64,
    ) -> Result<f64, ToolError> {
        self.produce_as(topic, records, record_bytes, &[])
    }

    /// `kafka-producer-perf-test` with transactions of 1 ms; returns records per second.
    pub(crate) fn produce_in_transactions(
        &self,
        topic: &str,
        records: u64,
        record_bytes: u64,
    ) -> Result<f64, ToolError> {
        self.produce_as(topic, records, record_bytes, &["--transaction-duration-ms", "1"])
    }

    /// `kafka-consumer-perf-test` from the first record on; returns records per second.
    pub(crate) fn consume(&self, topic: &str, records: u64) -> Result<f64, ToolError> {
        let output = self.run(CONSUMER, |java| {
            java.args(["--topic", topic, "--num-records", &records.to_string(), "--hide-header"]);
        })?;
        parse_last_line(CONSUMER, &output, |line| consumer_rate(line, records))
    }

    /// `kafka-e2e-latency` with `acks=1`; returns the average in milliseconds.
    pub(crate) fn end_to_end_latency(
        &self,
        topic: &str,
        records: u64,
        record_bytes: u64,
    ) -> Result<f64, ToolError> {
        let output = self.run(LATENCY, |java| {
            java.args(["--topic", topic, "--producer-acks", "1"]);
            java.args(["--num-records", &records.to_string(), "--record-size", &record_bytes.to_string()]);
        })?;
        let average = output.lines().find_map(average_latency_ms);
        average.ok_or_else(|| ToolError::Unreadable { tool: LATENCY, line: last_line(&output) })
    }

    fn produce_as(
        &self,
        topic: &str,
        records: u64,
        record_bytes: u64,
        options: &[&str],
    ) -> Result<f64, ToolError> {
        let output = self.run(PRODUCER, |java| {
            java.args(["--topic", topic, "--throughput", "-1"]);
            java.args(["--num-records", &records.to_string(), "--record-size", &record_bytes.to_string()]);
            java.args(options);
        })?;
        parse_last_line(PRODUCER, &output, |line| producer_rate(line, records))
    }

    fn run(&self, tool: &'static str, arguments: impl FnOnce(&mut Command)) -> Result<String, ToolError> {
        let mut java = Command::new("java");
        java.args(["-Xmx512m", QUIET, "-cp", self.class_path, tool]);
        java.args(["--bootstrap-server", &self.bootstrap_servers]);
        arguments(&mut java);
        let output = java.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let cause = stderr.lines().find(|line| line.contains("Exception") || line.contains("Error"));
        let message = cause.map_or_else(|| last_line(&stderr), str::to_owned);
        Err(ToolError::Failed { tool, message })
    }
}

fn parse_last_line(
    tool: &'static str,
    output: &str,
    parse: impl FnOnce(&str) -> Option<f64>,
) -> Result<f64, ToolError> {
    let line = last_line(output);
    parse(&line).ok_or(ToolError::Unreadable { tool, line })
}

fn last_line(output: &str) -> String {
    output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
}

/// The summary, `3000000 records sent, 656167.9 records/sec (62.6 MB/sec), …`, if it covers all records.
fn producer_rate(line: &str, records: u64) -> Option<f64> {
    let (sent, rest) = line.split_once(" records sent, ")?;
    let (rate, _) = rest.split_once(" records/sec")?;
    if sent.trim().parse() != Ok(records) {
        return None;
    }
    rate.parse().ok()
}

/// The row of a run, if at least `records` came. Its last column is the rate without the time that
/// joining the group took; the fifth counts the records.
fn consumer_rate(line: &str, records: u64) -> Option<f64> {
    let mut columns = line.split(", ").skip(4);
    let consumed: u64 = columns.next()?.parse().ok()?;
    let rate = columns.last()?.parse().ok()?;
    (consumed >= records).then_some(rate)
}

fn average_latency_ms(line: &str) -> Option<f64> {
    line.strip_prefix("Avg latency: ")?.strip_suffix(" ms")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_summary_gives_its_rate_only_when_all_records_were_sent() {
        let line = "3000000 records sent, 502933.78 records/sec (47.96 MB/sec), 30.37 ms avg latency";
        assert_eq!(producer_rate(line, 3_000_000), Some(502_933.78));
        assert_eq!(producer_rate(line, 3_000_001), None);
    }

    #[test]
    fn the_consumers_row_gives_its_rate_only_when_enough_records_came() {
        let line = "2026-11-23 06:18:28:499, 2026-11-23 06:18:32:455, 286.1, 72.3, 3000000, 758341.7, 518, 3438, 83.2, 872600.3";
        assert_eq!(consumer_rate(line, 3_000_000), Some(872_600.3));
        assert_eq!(consumer_rate(line, 3_000_001), None);
    }

    #[test]
    fn the_latency_tool_prints_its_average_in_milliseconds() {
        assert_eq!(average_latency_ms("Avg latency: 0.4321 ms"), Some(0.4321));
        assert_eq!(average_latency_ms("0\t12.5"), None);
    }
}
