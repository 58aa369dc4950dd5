//! A query that is cut off after any step of any batch, again and again, gives what one that runs through gives.

use std::collections::BTreeMap;
use std::path::Path;

use ottla_stream::Step;
use ottla_stream::output_mode::OutputMode;
use tempfile::tempdir;

use crate::harness::{BatchRows, Job, Kafka};

const STEPS: [Step; 4] = [Step::OffsetsLogged, Step::StateWritten, Step::RowsWritten, Step::Committed];

/// The last rows that each batch gave, by batch.
type Result = BTreeMap<u64, Vec<String>>;

async fn fill(kafka: &Kafka) {
    kafka.create("words", 3).await;
    for round in 0..6 {
        for partition in 0..3 {
            let words = (0..round + partition).map(|word| format!("w{}", word % 4));
            kafka.put("words", partition, words.chain(["end".to_owned()])).await;
        }
    }
}

/// Cuts off after every step of the first batches, then lets the query end.
async fn run_with_crashes(job: &Job, kafka: &Kafka, checkpoint: &Path, seed: u64) -> Vec<BatchRows> {
    let mut random = seed;
    let mut batches = Vec::new();
    for _ in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let batch_id = (random >> 33) % 7;
        let step = STEPS[usize::try_from((random >> 17) % 4).unwrap()];
        let outcome = job.run_until_crash(kafka, checkpoint, Some((batch_id, step))).await;
        batches.extend(outcome.batches);
        match outcome.error.as_deref() {
            None => return batches,
            Some("the query was interrupted by its observer") => {}
            Some(error) => panic!("seed {seed}: {error}"),
        }
    }
    batches.extend(job.run(kafka, checkpoint).await.batches);
    batches
}

async fn check(job: &Job, kafka: &Kafka, seed: u64) {
    let whole = tempdir().unwrap();
    let expected: Result =
        job.run(kafka, whole.path()).await.batches.into_iter().map(|batch| (batch.id, batch.rows)).collect();
    assert!(expected.len() > 3, "the limit makes several batches");
    let cut = tempdir().unwrap();
    let mut given = Result::new();
    for batch in run_with_crashes(job, kafka, cut.path(), seed).await {
        if let Some(before) = given.insert(batch.id, batch.rows.clone()) {
            assert_eq!(before, batch.rows, "seed {seed}: batch {} ran again and gave other rows", batch.id);
        }
    }
    assert_eq!(given, expected, "seed {seed}");
}

#[tokio::test]
async fn a_stateless_query_neither_loses_nor_changes_a_batch() {
    let kafka = Kafka::start().await;
    fill(&kafka).await;
    let job = Job::new("SELECT partition, offset, CAST(value AS STRING) AS word FROM STREAM words")
        .option("maxOffsetsPerTrigger", "12");
    for seed in 0..12 {
        check(&job, &kafka, seed).await;
    }
}

#[tokio::test]
async fn an_aggregation_counts_every_row_once() {
    let kafka = Kafka::start().await;
    fill(&kafka).await;
    let sql = "SELECT CAST(value AS STRING) AS word, count(*) AS n, max(offset) AS last FROM STREAM words GROUP BY value";
    for (mode, seeds) in [(OutputMode::Complete, 0..8), (OutputMode::Update, 8..16)] {
        let job = Job::new(sql).output_mode(mode).option("maxOffsetsPerTrigger", "12");
        for seed in seeds {
            check(&job, &kafka, seed).await;
        }
    }
}

#[tokio::test]
async fn a_batch_that_runs_again_has_the_time_of_its_first_run() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    fill(&kafka).await;
    let job = Job::new("SELECT current_timestamp() AS now FROM STREAM words");
    let first = job.run_until_crash(&kafka, checkpoint.path(), Some((0, Step::RowsWritten))).await;
    let second = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(first.batches, second.batches);
    assert!(first.rows()[0].starts_with("{\"now\":\"20"), "{:?}", first.rows()[0]);
}
