//! The Kafka source's options.

use std::fs;
use std::time::Duration;

use ottla_client::OffsetSpec;
use ottla_stream::stop;
use ottla_stream::trigger::Trigger;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

const OFFSETS: &str = "SELECT partition, offset FROM STREAM t";

async fn two_partitions() -> Kafka {
    let kafka = Kafka::start().await;
    kafka.create("t", 2).await;
    kafka.put("t", 0, 0..6).await;
    kafka.put("t", 1, 0..3).await;
    kafka
}

#[tokio::test]
async fn a_limit_is_shared_among_partitions() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let outcome = Job::new(OFFSETS).option("maxOffsetsPerTrigger", "3").run(&kafka, checkpoint.path()).await;
    let sizes: Vec<_> = outcome.batches.iter().map(|batch| batch.rows.len()).collect();
    assert_eq!(sizes, [3, 3, 3]);
    assert_eq!(outcome.batches[0].rows[2], r#"{"partition":1,"offset":0}"#);
    assert_eq!(outcome.progress[0].sources[0].metrics["maxOffsetsBehindLatest"], "4");
}

#[tokio::test]
async fn once_takes_all_in_one_batch() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let job = Job::new(OFFSETS).option("maxOffsetsPerTrigger", "3").trigger(Trigger::Once);
    let outcome = job.run(&kafka, checkpoint.path()).await;
    assert_eq!((outcome.batches.len(), outcome.rows().len()), (1, 9));
}

#[tokio::test]
async fn a_query_begins_where_it_is_told() {
    let kafka = two_partitions().await;
    for (key, value, rows) in [
        ("startingOffsets", "latest", 0),
        ("startingOffsets", "{\"t\":{\"0\":4,\"1\":-2}}", 5),
        ("startingOffsets", "{\"t\":{\"0\":-1,\"1\":2}}", 1),
        ("startingTimestamp", "1699999999999", 9),
    ] {
        let checkpoint = tempdir().unwrap();
        let outcome = Job::new(OFFSETS).option(key, value).run(&kafka, checkpoint.path()).await;
        assert_eq!((outcome.error.as_deref(), outcome.rows().len()), (None, rows), "{key} {value}");
        // Spark's first batch runs even without rows.
        assert_eq!(outcome.batches.len(), 1);
    }
    for (key, value, message) in [
        ("startingOffsets", "{\"t\":{\"0\":4}}", "you must specify all TopicPartitions"),
        ("startingTimestamp", "1700000000001", "No offset matched from request of topic-partition t-0"),
    ] {
        let checkpoint = tempdir().unwrap();
        let error = Job::new(OFFSETS).option(key, value).run(&kafka, checkpoint.path()).await.error.unwrap();
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn retention_that_overtakes_the_query_is_data_loss_and_gaps_are_not() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let job = Job::new(OFFSETS);
    job.run(&kafka, checkpoint.path()).await;
    kafka.client.delete_topics(&["t"]).await.unwrap();
    kafka.create("t", 2).await;
    kafka.put("t", 0, ["new"]).await;
    let error = job.run(&kafka, checkpoint.path()).await.error.unwrap();
    assert!(error.contains("t-0 offset was changed from 6 to 1"), "{error}");
    assert!(error.contains("failOnDataLoss"), "{error}");
    // The range of the failed batch is logged and runs again, without the rows that are gone.
    let lenient = job.option("failOnDataLoss", "false");
    let outcome = lenient.run(&kafka, checkpoint.path()).await;
    assert_eq!((outcome.error.as_deref(), outcome.rows().len()), (None, 0));
    kafka.put("t", 0, ["newer"]).await;
    assert_eq!(lenient.run(&kafka, checkpoint.path()).await.rows(), [r#"{"partition":0,"offset":1}"#]);
}

#[tokio::test]
async fn a_logged_range_that_the_log_has_not_is_data_loss() {
    let kafka = two_partitions().await;
    for (start, end, message) in [
        (-7, 6, "[-7, 6) for topic partition t-0: the log of the partition starts at 0."),
        (0, 9, "[6, 9) for topic partition t-0: the log of the partition ends at 6."),
    ] {
        let checkpoint = tempdir().unwrap();
        for (path, text) in [
            ("metadata", "{\"id\":\"729179f9-7262-4771-891a-776acaf4a851\"}".to_owned()),
            ("sources/0/0", format!("\0v1\n{{\"t\":{{\"0\":{start},\"1\":0}}}}")),
            ("offsets/0", format!("v1\n{{}}\n{{\"t\":{{\"0\":{end},\"1\":3}}}}")),
        ] {
            let path = checkpoint.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let job = Job::new(OFFSETS).trigger(Trigger::Once);
        let error = job.run(&kafka, checkpoint.path()).await.error.unwrap();
        assert!(error.contains(message), "{error}");
        let outcome = job.option("failOnDataLoss", "false").run(&kafka, checkpoint.path()).await;
        assert_eq!((outcome.error.as_deref(), outcome.rows().len()), (None, 9));
    }
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_waited_for_and_read_from_its_beginning() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    let error = Job::new(OFFSETS).run(&kafka, checkpoint.path()).await.error.unwrap();
    assert!(error.starts_with("topic t does not exist"), "{error}");

    let (stopper, signal) = stop::channel();
    let endless = Job::new(OFFSETS)
        .option("startingOffsets", "latest")
        .trigger(Trigger::ProcessingTime(Duration::ZERO));
    let commit = checkpoint.path().join("commits").join("1");
    let writer = async {
        kafka.create("t", 1).await;
        kafka.put("t", 0, ["first"]).await;
        while !commit.with_file_name("0").exists() {
            tokio::task::yield_now().await;
        }
        kafka.put("t", 0, ["second"]).await;
        while !commit.exists() {
            tokio::task::yield_now().await;
        }
        stopper.stop();
    };
    let (outcome, ()) =
        tokio::join!(endless.run_until_stopped(&kafka, checkpoint.path(), None, signal), writer);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.rows(), [r#"{"partition":0,"offset":0}"#, r#"{"partition":0,"offset":1}"#]);
}

#[tokio::test]
async fn only_the_columns_that_are_used_and_all_of_them() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let sql = "SELECT Topic, timestampType AS `Type`, timestamp, value, key FROM STREAM t WHERE partition = 1 AND offset = 2";
    let outcome = Job::new(sql).run(&kafka, checkpoint.path()).await;
    assert_eq!(
        outcome.rows(),
        [r#"{"Topic":"t","Type":0,"timestamp":"2023-11-14T22:13:20.000Z","value":"Mg=="}"#]
    );
    let checkpoint = tempdir().unwrap();
    let outcome = Job::new("SELECT 1 AS one FROM STREAM t").run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.rows().len(), 9);
    let checkpoint = tempdir().unwrap();
    let outcome = Job::new("SELECT * FROM STREAM t")
        .option("includeHeaders", "true")
        .run(&kafka, checkpoint.path())
        .await;
    assert!(outcome.rows()[0].contains("\"timestampType\":0"), "{:?}", outcome.rows()[0]);
}

#[tokio::test]
async fn columns_may_have_the_same_name() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let sql = "SELECT offset, offset, offset + 1 FROM STREAM t WHERE partition = 1 AND offset = 2";
    let rows = Job::new(sql).run(&kafka, checkpoint.path()).await;
    assert_eq!(rows.rows(), [r#"{"offset":2,"offset":2,"(offset + 1)":3}"#]);
    let checkpoint = tempdir().unwrap();
    let sql = "SELECT *, offset FROM STREAM t WHERE partition = 1 AND offset = 2";
    let rows = Job::new(sql).run(&kafka, checkpoint.path()).await;
    assert!(rows.rows()[0].ends_with(r#""timestampType":0,"offset":2}"#), "{rows:?}");
}

#[tokio::test]
async fn partitions_are_assigned_and_topics_matched() {
    let kafka = two_partitions().await;
    for topic in ["other-1", "other-2"] {
        kafka.create(topic, 1).await;
        kafka.put(topic, 0, ["x"]).await;
    }
    for (key, value, rows) in
        [("assign", "{\"t\":[1]}", 3), ("subscribePattern", "oth.*", 2), ("subscribe", "t, other-1", 10)]
    {
        let checkpoint = tempdir().unwrap();
        let outcome = Job::new(OFFSETS).option(key, value).run(&kafka, checkpoint.path()).await;
        assert_eq!((outcome.error.as_deref(), outcome.rows().len()), (None, rows), "{key}");
    }
}

#[tokio::test]
async fn partitions_added_while_it_runs_are_read_from_their_beginning() {
    let (kafka, checkpoint) = (two_partitions().await, tempdir().unwrap());
    let job = Job::new(OFFSETS);
    job.run(&kafka, checkpoint.path()).await;
    kafka.client.create_partitions(&[("t", 3)]).await.unwrap();
    kafka.put("t", 2, ["a", "b"]).await;
    let rows = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(rows.rows(), [r#"{"partition":2,"offset":0}"#, r#"{"partition":2,"offset":1}"#]);
    let ends = kafka.client.list_offsets(&[("t", 2, OffsetSpec::Latest)]).await.unwrap();
    assert_eq!(ends[0].offset, Some(2));
}
