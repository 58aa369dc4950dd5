//! A checkpoint goes from Ottla to PySpark and back: neither misses a record or sees one twice.
//!
//! Not on Windows, where PySpark needs Hadoop's native programs.
#![cfg(not(windows))]

use std::fs;
use std::path::Path;

use ottla_broker::{Broker, Config};
use ottla_client::{Acks, Client, ClientConfig, NewTopic};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::spark::{self, MicroBatch};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{ApacheKafka, Runtime, runtime, streaming};

const TOPIC: &str = "interchange";
const PARTITIONS: i32 = 2;
const SQL: &str = "SELECT partition, offset, CAST(value AS STRING) AS value FROM STREAM interchange";

/// Partition, offset and value.
type Row = (i32, i64, String);

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_interchangeable_on_kafka() {
    if !runtime::present(&[Runtime::Java, Runtime::Python]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let kafka = ApacheKafka::start(dir.path()).await;
    check(kafka.bootstrap_servers(), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_interchangeable_on_ottla() {
    if !runtime::present(&[Runtime::Java, Runtime::Python]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let broker = Broker::start(Config::ephemeral()).await.expect("Ottla starts");
    check(&broker.bootstrap_servers(), dir.path()).await;
}

async fn check(servers: &str, dir: &Path) {
    let client = Client::connect(ClientConfig::new(servers)).await.expect("the broker serves");
    client
        .create_topics(&[NewTopic::new(TOPIC).with_partitions(PARTITIONS)])
        .await
        .expect("the topic is created");
    let [ours, interrupted, theirs] = ["ours", "interrupted", "theirs"].map(|name| dir.join(name));

    let first = produce(&client, 0..20).await;
    assert_eq!(ottla(servers, &ours, &[0]).await, first);
    let second = produce(&client, 20..30).await;
    assert_eq!(ottla(servers, &ours, &[1]).await, second);
    // As after a kill between a batch's sink and its commit: the batch is in doubt, and is run again.
    copy(&ours, &interrupted);
    fs::remove_file(interrupted.join("commits/1")).expect("the second batch is committed");

    let third = produce(&client, 30..40).await;
    let batches = spark::stream(servers, TOPIC, &[&ours, &interrupted, &theirs]).await;
    assert_eq!(of(&batches, &ours), [(2, third.clone())]);
    assert_eq!(of(&batches, &interrupted), [(1, second.clone()), (2, third.clone())]);
    let all = sorted([first, second, third].concat());
    assert_eq!(of(&batches, &theirs), [(0, all)]);

    let fourth = produce(&client, 40..50).await;
    assert_eq!(ottla(servers, &ours, &[3]).await, fourth);
    assert_eq!(ottla(servers, &theirs, &[1]).await, fourth);
    fs::remove_file(theirs.join("commits/1")).expect("the second batch is committed");
    let fifth = produce(&client, 50..60).await;
    assert_eq!(ottla(servers, &theirs, &[1, 2]).await, sorted([fourth, fifth].concat()));
}

/// One record each, to the partitions in turn. Returns the rows that a stream makes of them.
async fn produce(client: &Client, numbers: std::ops::Range<i64>) -> Vec<Row> {
    let mut rows = Vec::new();
    for number in numbers {
        let (partition, value) = ((number % i64::from(PARTITIONS)) as i32, number.to_string());
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(now_ms(), None, Some(value.as_bytes())).expect("a small record");
        let batch = batch.build().expect("a batch of one record");
        client.produce(TOPIC, partition, batch, Acks::All).await.expect("the broker takes a record");
        rows.push((partition, number / i64::from(PARTITIONS), value));
    }
    sorted(rows)
}

/// What Ottla streams from the checkpoint on, in micro-batches of these ids.
async fn ottla(bootstrap_servers: &str, checkpoint: &Path, batch_ids: &[i64]) -> Vec<Row> {
    let streamed = streaming::available_now(SQL, bootstrap_servers, checkpoint, &[]).await;
    assert_eq!(streamed.batch_ids(), batch_ids);
    let row = |row: &serde_json::Value| {
        let number = |column: &str| row[column].as_i64().expect("a number");
        (number("partition") as i32, number("offset"), row["value"].as_str().expect("a text").to_owned())
    };
    sorted(streamed.rows.iter().map(row).collect())
}

fn of(batches: &[MicroBatch], checkpoint: &Path) -> Vec<(i64, Vec<Row>)> {
    let checkpoint = checkpoint.display().to_string();
    let of_checkpoint = batches.iter().filter(|batch| batch.checkpoint == checkpoint);
    of_checkpoint.map(|batch| (batch.id, sorted(batch.rows.clone()))).collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("a checkpoint") {
        let entry = entry.expect("a folder that can be read");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a file or a folder").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a file that can be copied")),
        }
    }
}
