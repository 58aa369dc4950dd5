//! `kill -9` under load: every acknowledged record is there after the restart, once, at its offset, in order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla_client::{Acks, Client, ClientConfig, NewTopic, ProduceOutcome};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::partition;
use ottla_tests::timestamp::now_ms;
use tokio::sync::mpsc;

const TOPIC: &str = "under-load";
const PARTITIONS: i32 = 3;
const PRODUCERS: usize = 6;
const RECORDS_PER_BATCH: usize = 10;
/// How many batches are acknowledged before each kill.
const BATCHES_BEFORE_KILL: [usize; 4] = [1, 60, 400, 2000];

/// A batch whose acknowledgement has arrived.
struct Acknowledged {
    partition: i32,
    base_offset: i64,
    values: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_outlive_kill_9() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Small segments, so that kills fall between rolls, too.
    let options = ["--override", "log.segment.bytes=1048576", "--override", "log.index.interval.bytes=512"];
    let mut listen = "127.0.0.1:0".to_owned();
    let mut acknowledged = Vec::new();
    for (round, batches) in BATCHES_BEFORE_KILL.into_iter().enumerate() {
        let broker = OttlaProcess::start(&listen, dir.path(), &options).await;
        listen = broker.bootstrap_servers().to_owned();
        let client = connect(&listen).await;
        if round == 0 {
            let topic = NewTopic::new(TOPIC).with_partitions(PARTITIONS);
            client.create_topics(&[topic]).await.expect("the topic is created");
        }
        acknowledged.extend(produce_until_killed(client, broker, round, batches).await);
    }
    let broker = OttlaProcess::start(&listen, dir.path(), &options).await;
    let client = connect(&listen).await;
    for partition in 0..PARTITIONS {
        check(&client, partition, &acknowledged).await;
    }
    broker.kill().await;
}

async fn connect(bootstrap_servers: &str) -> Client {
    Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves")
}

/// Lets the producers run until so many batches are acknowledged, kills the broker, and returns all that were.
async fn produce_until_killed(
    client: Client,
    broker: OttlaProcess,
    round: usize,
    batches: usize,
) -> Vec<Acknowledged> {
    let (sender, mut receiver) = mpsc::channel(PRODUCERS);
    for producer in 0..PRODUCERS {
        tokio::spawn(produce_until_failure(client.clone(), sender.clone(), round, producer));
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < batches {
        acknowledged.push(receiver.recv().await.expect("producers go on until the broker is gone"));
    }
    broker.kill().await;
    while let Some(last) = receiver.recv().await {
        acknowledged.push(last);
    }
    acknowledged
}

async fn produce_until_failure(
    client: Client,
    sender: mpsc::Sender<Acknowledged>,
    round: usize,
    producer: usize,
) {
    let partition = producer as i32 % PARTITIONS;
    for batch in 0.. {
        let value = |at: usize| format!("{round}/{producer}/{:08}", batch * RECORDS_PER_BATCH + at);
        let values: Vec<String> = (0..RECORDS_PER_BATCH).map(value).collect();
        let outcome = client.produce(TOPIC, partition, encode(&values), Acks::All).await;
        let Ok(ProduceOutcome::Acknowledged { base_offset, .. }) = outcome else { return };
        if sender.send(Acknowledged { partition, base_offset, values }).await.is_err() {
            return;
        }
    }
}

fn encode(values: &[String]) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    for value in values {
        batch.push(now_ms(), None, Some(value.as_bytes())).expect("small records make a batch");
    }
    batch.build().expect("small records make a batch")
}

async fn check(client: &Client, partition: i32, acknowledged: &[Acknowledged]) {
    let stored = partition::read(client, TOPIC, partition).await;
    let values: Arc<[String]> = stored.iter().map(|record| record.value.clone().expect("a value")).collect();
    assert!(stored.iter().map(|record| record.offset).eq(0..stored.len() as i64), "offsets have gaps");
    for batch in acknowledged.iter().filter(|batch| batch.partition == partition) {
        let at = usize::try_from(batch.base_offset).expect("an offset");
        assert_eq!(values.get(at..at + batch.values.len()), Some(&batch.values[..]), "at offset {at}");
    }
    let different: HashSet<&String> = values.iter().collect();
    assert_eq!(different.len(), values.len(), "a record is there twice");
    let mut last_of_producer: HashMap<&str, &str> = HashMap::new();
    for value in &*values {
        let (producer, number) = value.rsplit_once('/').expect("round/producer/number");
        let last = last_of_producer.insert(producer, number);
        assert!(last.is_none_or(|last| last < number), "{value} comes after {last:?}");
    }
}
