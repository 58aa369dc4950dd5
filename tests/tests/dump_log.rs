//! Kafka's own `DumpLogSegments` finds nothing to complain about in the files that Ottla writes.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use ottla_client::{Acks, Client, ClientConfig, NewTopic};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::dump_log::{dump, files};
use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::random::noise;
use ottla_tests::timestamp::now_ms;
use ottla_tests::{ClientLibrary, KafkaRelease, Record, Runtime, runtime};

const TOPIC: &str = "dumped";
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
/// The least that Kafka takes; a partition then rolls a few times.
const SEGMENT_BYTES: &str = "log.segment.bytes=1048576";

#[tokio::test(flavor = "multi_thread")]
async fn dump_log_segments_finds_no_fault() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, log_dir) = (dir.path(), &dir.path().join("data"));
    let broker = OttlaProcess::start("127.0.0.1:0", log_dir, &["--override", SEGMENT_BYTES]).await;
    let client = connect(&broker).await;
    client.create_topics(&[NewTopic::new(TOPIC).with_partitions(2)]).await.expect("the topic is created");
    fill(&client, 0).await;
    fill(&client, 1).await;
    produce_and_commit_as_java_does(&broker, logs).await;
    broker.kill().await;

    let broker = OttlaProcess::start("127.0.0.1:0", log_dir, &["--override", SEGMENT_BYTES]).await;
    check_rolled_segments(log_dir).await;
    fill(&connect(&broker).await, 0).await;
    assert!(broker.terminate().await.success());
    check_everything(log_dir).await;
}

async fn connect(broker: &OttlaProcess) -> Client {
    Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.expect("the broker serves")
}

/// 3 MB in batches of every codec.
async fn fill(client: &Client, partition: i32) {
    let now_ms = now_ms();
    for number in 0..60 {
        let mut batch = BatchBuilder::new(CODECS[number as usize % CODECS.len()]);
        for record in 0..50 {
            let value = noise(number * 50 + record);
            batch.push(now_ms + number, Some(b"key"), Some(value.as_bytes())).expect("small records");
        }
        let batch = batch.build().expect("a batch of small records");
        client.produce(TOPIC, partition, batch, Acks::All).await.expect("the broker takes a batch");
    }
}

/// With producer ids, so that there are snapshots of their state, and with a group's commits.
async fn produce_and_commit_as_java_does(broker: &OttlaProcess, logs: &Path) {
    let library = ClientLibrary::Java(KafkaRelease::V4_3_1);
    let mut agent = library.start(broker.bootstrap_servers(), logs).await;
    let record = |at: i64| Record {
        partition: (at % 2) as i32,
        offset: -1,
        timestamp: now_ms(),
        key: Some(format!("key {at}")),
        value: Some(format!("value {at}")),
        headers: vec![("header".to_owned(), Some("text".to_owned()))],
    };
    let mut records: Vec<Record> = (0..100).map(record).collect();
    agent.produce(TOPIC, "zstd", &mut records).await;
    agent.subscribe(TOPIC, "dumped-group").await;
    agent.poll(10).await;
    agent.commit().await;
    agent.close().await;
}

/// While the broker runs, the last segment of a partition ends in space for what is to come.
async fn check_rolled_segments(log_dir: &Path) {
    let rolled: Vec<PathBuf> = files(log_dir, &["log"])
        .chunk_by(|one, other| one.parent() == other.parent())
        .flat_map(|segments| segments.split_last().map_or(&[][..], |(_, rolled)| rolled).to_vec())
        .collect();
    assert!(rolled.len() >= 4, "{rolled:?}");
    dump(&rolled, "--deep-iteration").await.expect_clean();
    let indexes = |extension| rolled.iter().map(|log| log.with_extension(extension)).collect::<Vec<_>>();
    let indexes = [indexes("index"), indexes("timeindex")].concat();
    dump(&indexes, "--verify-index-only").await.expect_clean();
    assert_eq!(
        dump(&indexes, "--index-sanity-check").await.expect_clean().passed_sanity_check(),
        indexes.len()
    );
}

async fn check_everything(log_dir: &Path) {
    let dumped = dump(&files(log_dir, &["log"]), "--deep-iteration --print-data-log").await;
    dumped.expect_clean();
    for (partition, offsets) in dumped.offsets() {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{}: {offsets:?}", partition.display());
        let expected = match partition.file_name().and_then(|name| name.to_str()) {
            // Twice and once what `fill` writes, and half of what Java wrote.
            Some("dumped-0") => 6050,
            Some("dumped-1") => 3050,
            _ => continue,
        };
        assert_eq!(offsets.len(), expected, "{}", partition.display());
    }
    let indexes = files(log_dir, &["index", "timeindex"]);
    dump(&indexes, "").await.expect_clean();
    dump(&indexes, "--verify-index-only").await.expect_clean();
    dump(&indexes, "--index-sanity-check").await.expect_clean();
    let snapshots = files(log_dir, &["snapshot"]);
    dump(&snapshots, "").await.expect_clean().expect("producerId: ");

    let offsets: Vec<PathBuf> =
        files(log_dir, &["log"]).into_iter().filter(|log| is_offsets_topic(log)).collect();
    let offsets = dump(&offsets, "--offsets-decoder").await;
    offsets.expect_clean().expect(r#""group":"dumped-group","topic":"dumped""#);
    let metadata = dump(&[log_dir.join("bootstrap.checkpoint")], "--cluster-metadata-decoder").await;
    metadata
        .expect_clean()
        .expect("FEATURE_LEVEL_RECORD")
        .expect(r#""name":"dumped""#)
        .expect("PARTITION_RECORD");
}

fn is_offsets_topic(log: &Path) -> bool {
    log.to_string_lossy().contains("__consumer_offsets")
}
