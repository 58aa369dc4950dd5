//! Kafka itself goes on with the directory that Ottla leaves: topics, their ids and settings, records, group offsets.
#![cfg(unix)]

use std::collections::BTreeMap;

use ottla_client::{
    Acks, Client, ClientConfig, CommittedOffset, Committer, NewTopic, OffsetToCommit, ProduceOutcome,
};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::partition::{self, StoredRecord};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{ApacheKafka, Runtime, runtime};

const TOPIC: &str = "graduated";
const GROUP: &str = "graduates";
const PARTITIONS: i32 = 3;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// What a client can see.
#[derive(Debug, PartialEq)]
struct Seen {
    topic_id: String,
    settings: BTreeMap<String, Option<String>>,
    records: Vec<Vec<StoredRecord>>,
    offsets: Vec<CommittedOffset>,
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_goes_on_where_ottla_stopped() {
    check(async |broker| assert!(broker.terminate().await.success())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_goes_on_where_ottla_was_killed() {
    check(OttlaProcess::kill).await;
}

async fn check(end: impl AsyncFnOnce(OttlaProcess)) {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let log_dir = dir.path().join("data");
    let broker = OttlaProcess::start("127.0.0.1:0", &log_dir, &[]).await;
    let client = connect(broker.bootstrap_servers()).await;
    fill(&client).await;
    let before = look(&client).await;
    end(broker).await;

    let kafka = ApacheKafka::take_over(&log_dir, dir.path()).await;
    let client = connect(kafka.bootstrap_servers()).await;
    assert_eq!(look(&client).await, before);
    let outcome = produce(&client, 0, Compression::None).await;
    let end = before.records[0].len() as i64;
    assert!(
        matches!(outcome, ProduceOutcome::Acknowledged { base_offset, .. } if base_offset == end),
        "{outcome:?}"
    );
}

async fn fill(client: &Client) {
    let topic = NewTopic {
        configs: vec![("retention.bytes".to_owned(), "123456789".to_owned())],
        ..NewTopic::new(TOPIC).with_partitions(PARTITIONS)
    };
    client.create_topics(&[topic]).await.expect("the topic is created");
    for partition in 0..PARTITIONS {
        for compression in CODECS {
            produce(client, partition, compression).await;
        }
    }
    let offset = |partition| OffsetToCommit::new(TOPIC, partition, i64::from(partition) + 4);
    let offsets: Vec<_> = (0..PARTITIONS).map(offset).collect();
    client.commit_offsets(GROUP, Committer::Standalone, &offsets).await.expect("the offsets are committed");
}

async fn connect(bootstrap_servers: &str) -> Client {
    Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves")
}

/// A batch of ten records.
async fn produce(client: &Client, partition: i32, compression: Compression) -> ProduceOutcome {
    let mut batch = BatchBuilder::new(compression);
    for number in 0..10 {
        let value = format!("{partition} {compression:?} {number}");
        batch.push(now_ms(), Some(b"key"), Some(value.as_bytes())).expect("small records");
    }
    let batch = batch.build().expect("a batch of small records");
    client.produce(TOPIC, partition, batch, Acks::All).await.expect("the broker takes a batch")
}

async fn look(client: &Client) -> Seen {
    let metadata = client.metadata(&[TOPIC]).await.expect("the broker knows its topics");
    let settings = client.describe_topic_configs(TOPIC).await.expect("the topic has settings").into_iter();
    let settings =
        settings.filter(|setting| setting.is_set_on_topic).map(|setting| (setting.name, setting.value));
    let mut records = Vec::new();
    for partition in 0..PARTITIONS {
        records.push(partition::read(client, TOPIC, partition).await);
    }
    let mut offsets = client.fetch_all_offsets(GROUP).await.expect("the group has offsets");
    offsets.sort_by_key(|offset| offset.partition);
    Seen {
        topic_id: metadata.topic(TOPIC).expect("the topic is there").id.to_string(),
        settings: settings.collect(),
        records,
        offsets,
    }
}
