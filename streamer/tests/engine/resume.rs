//! A query goes on where it stopped.

use std::fs;

use ottla_stream::stop;
use ottla_stream::trigger::Trigger;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

const MESSAGES: &str = "SELECT CAST(value AS STRING) AS message FROM STREAM `my-topic`";

#[tokio::test]
async fn what_was_committed_is_not_printed_again() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 3).await;
    kafka.put("my-topic", 0, ["a", "b"]).await;
    kafka.put("my-topic", 2, ["c"]).await;
    let job = Job::new(MESSAGES);
    let first = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(first.rows(), [r#"{"message":"a"}"#, r#"{"message":"b"}"#, r#"{"message":"c"}"#]);
    kafka.put("my-topic", 1, ["d"]).await;
    let second = job.run(&kafka, checkpoint.path()).await;
    assert_eq!((second.rows(), second.batches[0].id), (vec![r#"{"message":"d"}"#], 1));
    let third = job.run(&kafka, checkpoint.path()).await;
    assert!(third.batches.is_empty() && third.error.is_none(), "{third:?}");
}

#[tokio::test]
async fn the_folder_is_as_spark_writes_it() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 2).await;
    kafka.put("my-topic", 1, ["a", "b"]).await;
    Job::new(MESSAGES).run(&kafka, checkpoint.path()).await;
    let read = |path: &str| fs::read_to_string(checkpoint.path().join(path)).unwrap();
    assert_eq!(read("sources/0/0"), "\0v1\n{\"my-topic\":{\"0\":0,\"1\":0}}");
    assert_eq!(read("commits/0"), "v1\n{\"nextBatchWatermarkMs\":0}");
    let offsets = read("offsets/0");
    assert!(offsets.starts_with("v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":"), "{offsets}");
    assert!(offsets.ends_with("}}\n{\"my-topic\":{\"0\":0,\"1\":2}}"), "{offsets}");
}

#[tokio::test]
async fn a_checkpoint_that_spark_has_written_is_continued() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 1).await;
    kafka.put("my-topic", 0, 0..10).await;
    for (path, text) in [
        ("metadata", "{\"id\":\"729179f9-7262-4771-891a-776acaf4a851\"}"),
        ("sources/0/0", "\0v1\n{\"my-topic\":{\"0\":0}}"),
        (
            "offsets/0",
            "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1,\"conf\":{}}\n{\"my-topic\":{\"0\":4}}",
        ),
        ("commits/0", "v1\n{\"nextBatchWatermarkMs\":0}"),
        (
            "offsets/1",
            "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1,\"conf\":{}}\n{\"my-topic\":{\"0\":7}}",
        ),
    ] {
        let path = checkpoint.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let outcome = Job::new("SELECT offset FROM STREAM `my-topic`").run(&kafka, checkpoint.path()).await;
    let batches: Vec<_> = outcome.batches.iter().map(|batch| (batch.id, batch.rows.len())).collect();
    // Batch 1 runs again with the range that was logged, then comes the rest.
    assert_eq!(batches, [(1, 3), (2, 3)]);
    assert_eq!(outcome.rows()[0], r#"{"offset":4}"#);
    assert_eq!(outcome.progress[0].id, "729179f9-7262-4771-891a-776acaf4a851");
}

#[tokio::test]
async fn a_second_run_on_a_checkpoint_in_use_is_refused() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 1).await;
    let (stopper, signal) = stop::channel();
    let endless = Job::new(MESSAGES).trigger(Trigger::ProcessingTime(std::time::Duration::ZERO));
    let first = endless.run_until_stopped(&kafka, checkpoint.path(), None, signal);
    let second = async {
        let lock = checkpoint.path().join("commits").join("0");
        while !lock.exists() {
            tokio::task::yield_now().await;
        }
        let second = Job::new(MESSAGES).run(&kafka, checkpoint.path()).await;
        stopper.stop();
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert!(second.error.unwrap().contains("is in use by another run"));
    assert_eq!(first.error, None);
}

#[tokio::test]
async fn a_damaged_checkpoint_names_the_file() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 1).await;
    kafka.put("my-topic", 0, ["a"]).await;
    Job::new(MESSAGES).run(&kafka, checkpoint.path()).await;
    let path = checkpoint.path().join("offsets").join("0");
    let text = fs::read(&path).unwrap();
    for length in [0, 2, 20, text.len() - 40] {
        fs::write(&path, &text[..length]).unwrap();
        let error = Job::new(MESSAGES).run(&kafka, checkpoint.path()).await.error.unwrap();
        assert!(
            error.contains(&path.display().to_string()) || error.contains("offsets"),
            "{length}: {error}"
        );
    }
    fs::write(&path, &text).unwrap();
    assert_eq!(Job::new(MESSAGES).run(&kafka, checkpoint.path()).await.error, None);
}

#[tokio::test]
async fn a_query_with_more_sources_is_refused_in_spark_s_words() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 1).await;
    Job::new(MESSAGES).run(&kafka, checkpoint.path()).await;
    let both = "SELECT value FROM STREAM `my-topic` UNION ALL SELECT value FROM STREAM `my-topic`";
    let error = Job::new(both).run(&kafka, checkpoint.path()).await.error.unwrap();
    assert_eq!(
        error,
        "There are 1 sources in the checkpoint offsets and now there are 2 sources requested by the query. Cannot continue."
    );
}
