//! A topic that is deleted and created again, and retention that overtakes a query, between runs and within one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use ottla_client::{Client, DeleteBefore};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::{Sink, SinkBatch, SinkError};
use ottla_stream::trigger::Trigger;
use ottla_stream::{Step, stop};
use tempfile::{TempDir, tempdir};

use crate::harness::{Job, Kafka, Outcome};

const OFFSETS: &str = "SELECT offset, CAST(value AS STRING) AS v FROM STREAM t";

async fn six_records() -> (Kafka, TempDir) {
    let kafka = Kafka::start().await;
    kafka.create("t", 1).await;
    for value in 0..6 {
        kafka.put("t", 0, [value]).await;
    }
    (kafka, tempdir().unwrap())
}

async fn retain_from(client: &Client, offset: i64) {
    let deleted = client.delete_records(&[("t", 0, DeleteBefore::Offset(offset))]).await.unwrap();
    assert_eq!(deleted[0].low_watermark.as_ref().ok(), Some(&offset));
}

fn lenient(job: &Job) -> Job {
    job.clone().option("failOnDataLoss", "false")
}

/// The error names topic, partition and offsets, and a second run has the same to say.
async fn assert_fails_twice(job: &Job, kafka: &Kafka, checkpoint: &TempDir, reasons: [&str; 2]) {
    for _ in 0..2 {
        let outcome = job.run(kafka, checkpoint.path()).await;
        let error = outcome.error.unwrap();
        assert!(reasons.iter().all(|reason| error.contains(reason)), "{error}");
        assert!(outcome.batches.is_empty(), "{:?}", outcome.batches);
    }
}

#[tokio::test]
async fn retention_between_runs() {
    let (kafka, checkpoint) = six_records().await;
    let job = Job::new(OFFSETS);
    assert_eq!(job.run(&kafka, checkpoint.path()).await.rows().len(), 6);
    for value in 6..10 {
        kafka.put("t", 0, [value]).await;
    }
    retain_from(&kafka.client, 8).await;
    let reasons = [
        "[KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE]",
        "offset [6, 10) for topic partition t-0: the log of the partition starts at 8.",
    ];
    assert_fails_twice(&job, &kafka, &checkpoint, reasons).await;
    let rest = lenient(&job).run(&kafka, checkpoint.path()).await;
    assert_eq!(rest.rows(), [r#"{"offset":8,"v":"8"}"#, r#"{"offset":9,"v":"9"}"#]);
    // What is gone by now was read before, so nothing is lost.
    retain_from(&kafka.client, 10).await;
    kafka.put("t", 0, [10]).await;
    let next = job.run(&kafka, checkpoint.path()).await;
    assert_eq!((next.error.as_deref(), next.rows()), (None, vec![r#"{"offset":10,"v":"10"}"#]));
}

#[tokio::test]
async fn retention_of_a_batch_that_is_logged() {
    for (start, rows) in [(4, vec![r#"{"offset":4,"v":"4"}"#, r#"{"offset":5,"v":"5"}"#]), (6, vec![])] {
        let (kafka, checkpoint) = six_records().await;
        let job = Job::new(OFFSETS);
        job.run_until_crash(&kafka, checkpoint.path(), Some((0, Step::OffsetsLogged))).await;
        retain_from(&kafka.client, start).await;
        let reason =
            format!("offset [0, 6) for topic partition t-0: the log of the partition starts at {start}.");
        assert_fails_twice(&job, &kafka, &checkpoint, ["KAFKA_DATA_LOSS", &reason]).await;
        let rest = lenient(&job).run(&kafka, checkpoint.path()).await;
        assert_eq!((rest.error.as_deref(), rest.rows()), (None, rows));
    }
}

/// Deletes all records but the last when it has the first rows, and counts the rows.
struct Deleting {
    client: Client,
    last: i64,
    rows: Arc<AtomicU64>,
}

#[async_trait]
impl Sink for Deleting {
    fn description(&self) -> String {
        "deleting".to_owned()
    }

    fn supports(&self, _mode: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        for mut partition in batch.partitions {
            while let Some(rows) = partition.next().await {
                let before = self.rows.fetch_add(rows?.num_rows() as u64, Ordering::SeqCst);
                if before == 0 {
                    retain_from(&self.client, self.last).await;
                }
            }
        }
        Ok(self.rows.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_between_two_fetches_of_a_batch() {
    // More than the engine reads ahead.
    const RECORDS: i64 = 40;
    let job = Job::new("SELECT value FROM STREAM t");
    for job in [job.clone(), lenient(&job)] {
        let kafka = Kafka::start().await;
        kafka.create("t", 1).await;
        for _ in 0..RECORDS {
            kafka.put_records("t", &[(0, None, Some(&[b'x'; 900_000]))]).await;
        }
        let (checkpoint, rows) = (tempdir().unwrap(), Arc::new(AtomicU64::new(0)));
        let sink = Deleting { client: kafka.client.clone(), last: RECORDS - 1, rows: rows.clone() };
        let outcome = job.run_into(&kafka, checkpoint.path(), Box::new(sink)).await;
        let rows = rows.load(Ordering::SeqCst);
        // Those that were read ahead, and without failOnDataLoss the last one.
        assert!((1..RECORDS as u64 / 2).contains(&rows), "{rows}");
        if let Some(error) = outcome.error {
            let lost = "40) for topic partition t-0: the log of the partition starts at 39.";
            assert!(error.contains("COULD_NOT_READ_OFFSET_RANGE") && error.contains(lost), "{error}");
            let rest = lenient(&job).run(&kafka, checkpoint.path()).await;
            assert_eq!(
                (rest.error, rest.batches.iter().map(|batch| batch.rows.len()).sum::<usize>()),
                (None, 1)
            );
        } else {
            assert!(checkpoint.path().join("commits").join("0").exists());
        }
    }
}

/// Runs without end. After `(batch, Committed)` the broker is changed, and after batch 2 the query is stopped.
async fn run_while(job: &Job, kafka: &Kafka, checkpoint: &TempDir, change: fn(u64, &Client)) -> Outcome {
    let (stopper, signal) = stop::channel();
    let client = kafka.client.clone();
    let at_step = move |batch, step| {
        if step == Step::Committed {
            tokio::task::block_in_place(|| change(batch, &client));
            if batch == 2 {
                stopper.stop();
            }
        }
        ControlFlow::Continue(())
    };
    let endless = job.clone().trigger(Trigger::ProcessingTime(Duration::ZERO));
    endless.run_observed(kafka, checkpoint.path(), signal, Box::new(at_step)).await
}

async fn put(client: &Client, value: &str) {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1_700_000_000_000, None, Some(value.as_bytes())).unwrap();
    client.produce("t", 0, batch.build().unwrap(), ottla_client::Acks::Leader).await.unwrap();
}

fn create_again(batch: u64, client: &Client) {
    tokio::runtime::Handle::current().block_on(async {
        if batch == 0 {
            client.delete_topics(&["t"]).await.unwrap();
            let mut topic = ottla_client::NewTopic::new("t").with_partitions(1);
            topic.configs.push(("retention.ms".to_owned(), "-1".to_owned()));
            client.create_topics(&[topic]).await.unwrap().remove(0).result.unwrap();
        }
        if batch < 2 {
            put(client, "new").await;
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_created_again_while_the_query_runs() {
    let (kafka, checkpoint) = six_records().await;
    let job = Job::new(OFFSETS);
    let outcome = run_while(&job, &kafka, &checkpoint, create_again).await;
    let error = outcome.error.unwrap();
    assert!(error.contains("[KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED]"), "{error}");
    assert!(error.contains("Partition t-0 offset was changed from 6 to 1."), "{error}");
    // As in Spark, the batch that saw the change has no rows, and those behind its end are read.
    put(&kafka.client, "newer").await;
    let rest = lenient(&job).run(&kafka, checkpoint.path()).await;
    assert_eq!((rest.error.as_deref(), rest.rows()), (None, vec![r#"{"offset":1,"v":"newer"}"#]));

    let (kafka, checkpoint) = six_records().await;
    let outcome = run_while(&lenient(&job), &kafka, &checkpoint, create_again).await;
    let sizes: Vec<_> = outcome.batches.iter().map(|batch| (batch.id, batch.rows.len())).collect();
    assert_eq!((outcome.error.as_deref(), sizes), (None, vec![(0, 6), (1, 0), (2, 1)]));
    assert_eq!(outcome.rows().last(), Some(&r#"{"offset":1,"v":"new"}"#));
}
