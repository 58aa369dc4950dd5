//! What sinks that write exactly once have in the end, when a query is cut off after any step of any batch.

use std::path::Path;
use std::time::Duration;

use ottla_client::{Fetch, FetchPartition, IsolationLevel};
use ottla_stream::Step;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::file::committed_files;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

/// Those of a query that remembers nothing.
const STEPS: [Step; 3] = [Step::OffsetsLogged, Step::RowsWritten, Step::Committed];
const BATCHES: u64 = 4;
const SQL: &str = "SELECT CAST(value AS STRING) AS value FROM STREAM numbers";

async fn numbers() -> Kafka {
    let kafka = Kafka::start().await;
    kafka.create("numbers", 2).await;
    kafka.create("out", 1).await;
    for partition in 0..2 {
        kafka.put("numbers", partition, (0..10).map(|n| 2 * n + partition)).await;
    }
    kafka
}

fn every_number() -> Vec<String> {
    let mut numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    numbers.sort();
    numbers
}

/// Cuts the query off once after each step of each batch, and lets it end.
async fn run_with_crashes(kafka: &Kafka, checkpoint: &Path, format: &str, options: &[(&str, &str)]) {
    let job = Job::new(SQL).option("maxOffsetsPerTrigger", "5").into_sink(format, options);
    for batch_id in 0..BATCHES {
        for step in STEPS {
            // After its last step a batch does not run again, so the next crash point is in the next batch.
            let outcome = job.run_until_crash(kafka, checkpoint, Some((batch_id, step))).await;
            assert_eq!(
                outcome.error.as_deref(),
                Some("the query was interrupted by its observer"),
                "{format}, {batch_id}, {step:?}"
            );
        }
    }
    let outcome = job.run(kafka, checkpoint).await;
    assert_eq!(outcome.error, None);
}

#[tokio::test]
async fn files_have_each_row_once() {
    let (kafka, checkpoint, out) = (numbers().await, tempdir().unwrap(), tempdir().unwrap());
    let path = out.path().display().to_string();
    run_with_crashes(&kafka, checkpoint.path(), "text", &[("path", &path)]).await;
    let files = committed_files(out.path()).unwrap().unwrap();
    let text = files.iter().map(|file| std::fs::read_to_string(file.path().unwrap()).unwrap());
    let text: String = text.collect();
    let mut values: Vec<_> = text.lines().map(str::to_owned).collect();
    values.sort();
    assert_eq!(values, every_number());
}

#[tokio::test]
async fn a_topic_has_each_row_once_for_those_who_read_committed() {
    let (kafka, checkpoint) = (numbers().await, tempdir().unwrap());
    run_with_crashes(&kafka, checkpoint.path(), "kafka", &[("topic", "out"), ("exactlyOnce", "true")]).await;
    let (topic, max_bytes) = ("out".to_owned(), 1 << 20);
    let fetch = Fetch {
        partitions: vec![FetchPartition { topic, partition: 0, offset: 0, max_bytes }],
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes,
        isolation_level: IsolationLevel::ReadCommitted,
    };
    let fetched = kafka.client.fetch(&fetch).await.unwrap().remove(0);
    let mut values = Vec::new();
    for batch in fetched.committed_batches() {
        for record in &batch.unwrap().records(1 << 20).unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values.sort();
    assert_eq!(values, every_number());
}

#[tokio::test]
async fn a_table_has_each_row_once() {
    let (kafka, checkpoint, out) = (numbers().await, tempdir().unwrap(), tempdir().unwrap());
    let path = out.path().join("rows.db").display().to_string();
    run_with_crashes(&kafka, checkpoint.path(), "sqlite", &[("path", &path), ("dbtable", "numbers")]).await;
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut rows = database.prepare("SELECT value FROM numbers ORDER BY value").unwrap();
    let values: Vec<String> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(values, every_number());
}

#[tokio::test]
async fn a_mode_that_the_sink_does_not_take_is_refused_before_anything_is_logged() {
    let (kafka, checkpoint, out) = (numbers().await, tempdir().unwrap(), tempdir().unwrap());
    let path = out.path().display().to_string();
    let job = Job::new(SQL).output_mode(OutputMode::Update).into_sink("csv", &[("path", &path)]);
    let error = job.run(&kafka, checkpoint.path()).await.error.unwrap();
    assert!(
        error.starts_with("[STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE] Invalid streaming output"),
        "{error}"
    );
    assert!(!checkpoint.path().join("offsets").exists());
}
