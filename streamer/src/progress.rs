//! What a batch did: Spark's `StreamingQueryProgress`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::Value;

use crate::kafka::offsets::PartitionOffsets;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamingQueryProgress {
    pub id: String,
    pub run_id: String,
    pub name: Option<String>,
    /// When the batch was triggered.
    pub timestamp: String,
    pub batch_id: u64,
    /// In milliseconds, as all durations.
    pub batch_duration: u64,
    pub num_input_rows: u64,
    pub input_rows_per_second: f64,
    pub processed_rows_per_second: f64,
    pub duration_ms: BTreeMap<&'static str, u64>,
    /// Of the rows with event time: avg, max, min; and the watermark in force.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub event_time: BTreeMap<&'static str, String>,
    pub state_operators: Vec<StateOperatorProgress>,
    pub sources: Vec<SourceProgress>,
    pub sink: SinkProgress,
    /// `{"malformed":{"rows":3}}`: records that do not fit the schema of `from_json` or of a file source, where there
    /// are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub observed_metrics: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    pub description: String,
    pub start_offset: Option<Value>,
    pub end_offset: Option<Value>,
    pub latest_offset: Option<Value>,
    pub num_input_rows: u64,
    pub input_rows_per_second: f64,
    pub processed_rows_per_second: f64,
    pub metrics: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateOperatorProgress {
    pub operator_name: &'static str,
    pub num_rows_total: u64,
    pub num_rows_updated: u64,
    pub all_updates_time_ms: u64,
    pub num_rows_removed: u64,
    pub all_removals_time_ms: u64,
    pub commit_time_ms: u64,
    pub memory_used_bytes: u64,
    pub num_rows_dropped_by_watermark: u64,
    pub num_shuffle_partitions: u64,
    pub num_state_store_instances: u64,
    pub custom_metrics: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkProgress {
    pub description: String,
    pub num_output_rows: u64,
}

/// How far the batch ends behind the latest offsets: Kafka's part of a source's metrics.
pub fn offsets_behind_latest(
    end: &PartitionOffsets,
    latest: Option<&PartitionOffsets>,
) -> BTreeMap<&'static str, String> {
    let behind: Vec<i64> = latest
        .into_iter()
        .flat_map(|latest| &latest.0)
        .filter_map(|(partition, latest)| Some(latest - end.0.get(partition)?))
        .collect();
    let (Some(min), Some(max)) = (behind.iter().min(), behind.iter().max()) else {
        return BTreeMap::new();
    };
    let average = behind.iter().sum::<i64>() as f64 / behind.len() as f64;
    BTreeMap::from([
        ("avgOffsetsBehindLatest", crate::format::number::double(average)),
        ("maxOffsetsBehindLatest", max.to_string()),
        ("minOffsetsBehindLatest", min.to_string()),
    ])
}

/// Zero where no time has passed.
pub fn rows_per_second(rows: u64, elapsed: Option<Duration>) -> f64 {
    match elapsed.map(|elapsed| elapsed.as_secs_f64()) {
        Some(seconds) if seconds > 0.0 => rows as f64 / seconds,
        _ => 0.0,
    }
}

/// `2026-11-22T12:26:32.191Z`
pub fn iso_timestamp(timestamp_ms: i64) -> String {
    DateTime::from_timestamp_millis(timestamp_ms)
        .map_or_else(String::new, |instant| instant.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_fields_of_spark_4_1_1_in_its_order() {
        let end = PartitionOffsets::from_json(r#"{"t1":{"0":2,"1":1}}"#).unwrap();
        let latest = PartitionOffsets::from_json(r#"{"t1":{"0":4,"1":1}}"#).unwrap();
        let progress = StreamingQueryProgress {
            id: "i".to_owned(),
            run_id: "r".to_owned(),
            name: None,
            timestamp: iso_timestamp(1_795_415_917_793),
            batch_id: 0,
            batch_duration: 9,
            num_input_rows: 3,
            input_rows_per_second: rows_per_second(3, None),
            processed_rows_per_second: rows_per_second(3, Some(Duration::from_secs(2))),
            duration_ms: BTreeMap::from([("walCommit", 1), ("addBatch", 5)]),
            event_time: BTreeMap::new(),
            state_operators: Vec::new(),
            sources: vec![SourceProgress {
                description: "KafkaV2[Subscribe[t1]]".to_owned(),
                start_offset: None,
                end_offset: Some(Value::Object(end.to_map())),
                latest_offset: Some(Value::Object(latest.to_map())),
                num_input_rows: 3,
                input_rows_per_second: 0.0,
                processed_rows_per_second: 1.5,
                metrics: offsets_behind_latest(&end, Some(&latest)),
            }],
            sink: SinkProgress { description: "console".to_owned(), num_output_rows: 3 },
            observed_metrics: BTreeMap::new(),
        };
        let expected = concat!(
            r#"{"id":"i","runId":"r","name":null,"timestamp":"2026-11-23T06:38:37.793Z","batchId":0,"batchDuration":9,"#,
            r#""numInputRows":3,"inputRowsPerSecond":0.0,"processedRowsPerSecond":1.5,"durationMs":{"addBatch":5,"walCommit":1},"#,
            r#""stateOperators":[],"sources":[{"description":"KafkaV2[Subscribe[t1]]","startOffset":null,"#,
            r#""endOffset":{"t1":{"0":2,"1":1}},"latestOffset":{"t1":{"0":4,"1":1}},"numInputRows":3,"#,
            r#""inputRowsPerSecond":0.0,"processedRowsPerSecond":1.5,"metrics":{"avgOffsetsBehindLatest":"1.0","#,
            r#""maxOffsetsBehindLatest":"2","minOffsetsBehindLatest":"0"}}],"sink":{"description":"console","numOutputRows":3}}"#
        );
        assert_eq!(serde_json::to_string(&progress).unwrap(), expected);
    }
}
