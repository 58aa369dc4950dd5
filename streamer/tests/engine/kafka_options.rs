//! Options of the Kafka source that are about transactions, groups and the size of a batch.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::producer::{OutgoingRecord, ProducerConfig, TransactionalProducer};
use ottla_client::{Acks, Client};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_stream::stop;
use ottla_stream::trigger::Trigger;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

const OFFSETS: &str = "SELECT partition, offset FROM STREAM t";

async fn producer(client: &Client, id: &str) -> TransactionalProducer {
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    TransactionalProducer::new(client.clone(), id, Duration::from_secs(60), config).await.unwrap()
}

async fn send(producer: &mut TransactionalProducer, value: &str) {
    let record = OutgoingRecord { value: Some(value.as_bytes()), ..OutgoingRecord::default() };
    producer.send("t", &record).await.unwrap();
}

#[tokio::test]
async fn read_committed_reads_neither_aborted_nor_open_transactions() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    let mut ending = producer(&kafka.client, "ending").await;
    send(&mut ending, "aborted").await;
    ending.flush().await.unwrap();
    ending.abort().await.unwrap();
    send(&mut ending, "committed").await;
    ending.commit().await.unwrap();
    let mut open = producer(&kafka.client, "open").await;
    send(&mut open, "late").await;
    open.flush().await.unwrap();
    send(&mut ending, "behind the open one").await;
    ending.commit().await.unwrap();

    let all = "SELECT CAST(value AS STRING) AS v FROM STREAM t";
    let uncommitted = Job::new(all).run(&kafka, tempdir().unwrap().path()).await;
    assert_eq!(uncommitted.rows().len(), 4);
    let committed = Job::new(all).option("kafka.isolation.level", "read_committed");
    assert_eq!(committed.run(&kafka, checkpoint.path()).await.rows(), [r#"{"v":"committed"}"#]);
    // Nothing was skipped: the batch ended where the open transaction begins.
    open.commit().await.unwrap();
    let rest = committed.run(&kafka, checkpoint.path()).await;
    assert_eq!(
        (rest.error.as_deref(), rest.rows()),
        (None, vec![r#"{"v":"late"}"#, r#"{"v":"behind the open one"}"#])
    );
}

#[tokio::test]
async fn the_group_has_the_offsets_of_the_last_batch() {
    let kafka = Kafka::start().await;
    kafka.create("t", 2).await;
    kafka.put("t", 0, 0..6).await;
    kafka.put("t", 1, 0..3).await;
    let job = Job::new(OFFSETS).option("maxOffsetsPerTrigger", "4");
    for (job, prefix) in [
        (job.clone(), "spark-kafka-source-"),
        (job.clone().option("groupIdPrefix", "mine"), "mine-"),
        (job.option("kafka.group.id", "one-name"), "one-name"),
    ] {
        let checkpoint = tempdir().unwrap();
        let outcome = job.run(&kafka, checkpoint.path()).await;
        let group = match prefix.strip_suffix('-') {
            Some(prefix) => format!("{prefix}-{}", outcome.progress[0].id),
            None => prefix.to_owned(),
        };
        let committed = kafka.client.fetch_all_offsets(&group).await.unwrap();
        let offsets: BTreeMap<_, _> =
            committed.into_iter().map(|committed| (committed.partition, committed.offset)).collect();
        assert_eq!(offsets, BTreeMap::from([(0, 6), (1, 3)]), "{group}");
    }
}

#[tokio::test]
async fn a_batch_waits_for_enough_offsets_or_until_the_delay_is_over() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    kafka.put("t", 0, 0..1).await;
    let (stopper, signal) = stop::channel();
    let endless = Job::new(OFFSETS)
        .option("minOffsetsPerTrigger", "3")
        .trigger(Trigger::ProcessingTime(Duration::ZERO));
    let commit = |batch: u64| {
        let path = checkpoint.path().join("commits").join(batch.to_string());
        async move {
            while !path.exists() {
                tokio::task::yield_now().await;
            }
        }
    };
    let writer = async {
        // The first batch does not wait; the next one does, until its third record.
        commit(0).await;
        kafka.put("t", 0, 1..3).await;
        kafka.put("t", 0, 3..4).await;
        commit(1).await;
        stopper.stop();
    };
    let (outcome, ()) =
        tokio::join!(endless.run_until_stopped(&kafka, checkpoint.path(), None, signal), writer);
    let sizes: Vec<_> = outcome.batches.iter().map(|batch| batch.rows.len()).collect();
    assert_eq!((outcome.error, sizes), (None, vec![1, 3]));
    // What there is now is taken, however little.
    kafka.put("t", 0, 4..5).await;
    let rest = Job::new(OFFSETS).option("minOffsetsPerTrigger", "3").run(&kafka, checkpoint.path()).await;
    assert_eq!(rest.rows(), [r#"{"partition":0,"offset":4}"#]);
}

#[tokio::test]
async fn a_range_in_several_pieces_is_read_whole() {
    let kafka = Kafka::start().await;
    kafka.create("t", 1).await;
    let mut batch = BatchBuilder::new(Compression::None);
    for value in 0..10 {
        batch.push(1_700_000_000_000, None, Some(value.to_string().as_bytes())).unwrap();
    }
    kafka.client.produce("t", 0, batch.build().unwrap(), Acks::Leader).await.unwrap();
    for (key, value) in [("minPartitions", "3"), ("maxRecordsPerPartition", "4")] {
        let checkpoint = tempdir().unwrap();
        let outcome = Job::new(OFFSETS).option(key, value).run(&kafka, checkpoint.path()).await;
        let mut rows = outcome.rows();
        rows.sort_unstable();
        let expected: Vec<_> =
            (0..10).map(|offset| format!("{{\"partition\":0,\"offset\":{offset}}}")).collect();
        assert_eq!(rows, expected);
    }
}
