//! Every client library, unmodified, through the life of a topic and a consumer group.

use std::collections::BTreeSet;

use ottla_tests::server::{can_test, unique};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{Agent, ClientLibrary, KafkaRelease, Record, Server};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[tokio::test(flavor = "multi_thread")]
async fn kafka_clients_4_3_1() {
    check(ClientLibrary::Java(KafkaRelease::V4_3_1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_clients_2_8_1() {
    check(ClientLibrary::Java(KafkaRelease::V2_8_1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confluent_kafka() {
    check(ClientLibrary::ConfluentKafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_python() {
    check(ClientLibrary::KafkaPython).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkajs() {
    check(ClientLibrary::KafkaJs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn platformatic_kafka() {
    check(ClientLibrary::Platformatic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn franz_go() {
    check(ClientLibrary::FranzGo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sarama() {
    check(ClientLibrary::Sarama).await;
}

async fn check(library: ClientLibrary) {
    if !can_test(&[library.runtime()]) {
        return;
    }
    let mut server = Server::start().await;
    let mut agent = library.start(&server.bootstrap_servers(), server.logs()).await;
    creates_a_topic_once(&mut agent).await;
    reads_what_it_wrote_in_every_codec(library, &mut agent).await;
    sends_large_records(&mut agent).await;
    goes_on_after_its_commit(&mut agent).await;
    shares_a_topic_with_a_second_member(library, &mut agent, &server).await;
    outlives_a_restart_of_the_broker(&mut agent, &mut server).await;
}

async fn creates_a_topic_once(agent: &mut Agent) {
    let topic = unique("exists");
    agent.create_topic(&topic, 1).await;
    let error = agent.create_topic_error(&topic, 1).await;
    assert!(error.to_lowercase().replace('_', " ").contains("already exists"), "{error}");
}

async fn reads_what_it_wrote_in_every_codec(library: ClientLibrary, agent: &mut Agent) {
    let topic = unique("codecs");
    agent.create_topic(&topic, 2).await;
    let mut written = Vec::new();
    for codec in CODECS {
        let mut records = odd_records(library);
        agent.produce(&topic, codec, &mut records).await;
        written.extend(records);
    }
    written.sort_by_key(|record| (record.partition, record.offset));

    agent.subscribe(&topic, &unique("codecs")).await;
    let read = agent.poll(written.len()).await;
    agent.close().await;
    assert_eq!(read, written);
    for partition in [0, 1] {
        let offsets = read.iter().filter(|record| record.partition == partition).map(|record| record.offset);
        assert!(offsets.eq(0..read.iter().filter(|record| record.partition == partition).count() as i64));
    }
}

/// Null and empty keys and values, headers, timestamps of their own, and enough text for a codec to work on.
fn odd_records(library: ClientLibrary) -> Vec<Record> {
    let mut headers = vec![("trace".to_owned(), Some("4bf92f35".to_owned()))];
    if library.writes_null_headers() {
        headers.push(("empty".to_owned(), None));
    }
    let line = "Ett ottla är ett litet hus. ".repeat(20);
    let [key, value] = [Some("clé".to_owned()), Some(line)];
    // Not the order in which they are sent.
    let start_ms = now_ms() - 60_000;
    let record = |at: i64, key: &Option<String>, value: &Option<String>| Record {
        partition: (at % 2) as i32,
        offset: -1,
        timestamp: start_ms - at,
        key: key.clone(),
        value: value.clone(),
        headers: Vec::new(),
    };
    vec![
        Record { headers, ..record(0, &key, &value) },
        record(1, &None, &value),
        record(2, &key, &None),
        record(3, &Some(String::new()), &value),
        record(4, &key, &Some(String::new())),
    ]
}

async fn sends_large_records(agent: &mut Agent) {
    let topic = unique("large");
    agent.create_topic(&topic, 1).await;
    let mut large = numbered(3, 1);
    for record in &mut large {
        // A little below max.message.bytes, and below kafkajs' and librdkafka's own limits.
        record.value =
            Some(format!("{}{}", record.value.as_deref().unwrap_or_default(), "x".repeat(900_000)));
        agent.produce(&topic, "none", std::slice::from_mut(record)).await;
    }
    agent.subscribe(&topic, &unique("large")).await;
    let read = agent.poll(large.len()).await;
    agent.close().await;
    assert!(read == large, "large records came back changed");
}

async fn goes_on_after_its_commit(agent: &mut Agent) {
    let (topic, group) = (unique("resume"), unique("resume"));
    agent.create_topic(&topic, 1).await;
    let mut written = numbered(10, 1);
    agent.produce(&topic, "none", &mut written).await;

    agent.subscribe(&topic, &group).await;
    assert_eq!(agent.poll(4).await, written[..4]);
    agent.commit().await;
    agent.close().await;

    agent.subscribe(&topic, &group).await;
    assert_eq!(agent.poll(6).await, written[4..]);
    agent.close().await;
}

async fn shares_a_topic_with_a_second_member(library: ClientLibrary, first: &mut Agent, server: &Server) {
    let (topic, group) = (unique("shared"), unique("shared"));
    first.create_topic(&topic, 4).await;
    first.subscribe(&topic, &group).await;
    assert_eq!(first.assignment(4).await, [0, 1, 2, 3]);

    let mut second = library.start(&server.bootstrap_servers(), server.logs()).await;
    second.subscribe(&topic, &group).await;
    let (mine, theirs) = tokio::join!(first.assignment(2), second.assignment(2));
    let all: BTreeSet<i32> = mine.iter().chain(&theirs).copied().collect();
    assert_eq!(all, BTreeSet::from([0, 1, 2, 3]), "{mine:?} and {theirs:?}");

    let mut written = numbered(20, 4);
    first.produce(&topic, "none", &mut written).await;
    let (mut read, more) = tokio::join!(first.poll(10), second.poll(10));
    read.extend(more);
    read.sort_by_key(|record| (record.partition, record.offset));
    written.sort_by_key(|record| (record.partition, record.offset));
    assert_eq!(read, written);

    first.commit().await;
    first.close().await;
    assert_eq!(second.assignment(4).await, [0, 1, 2, 3]);
    second.close().await;
}

async fn outlives_a_restart_of_the_broker(agent: &mut Agent, server: &mut Server) {
    let topic = unique("restart");
    agent.create_topic(&topic, 1).await;
    let mut before = numbered(5, 1);
    agent.produce(&topic, "none", &mut before).await;
    agent.subscribe(&topic, &unique("restart")).await;
    assert_eq!(agent.poll(5).await, before);
    // A member that joins anew after the restart goes on from here.
    agent.commit().await;

    server.restart().await;
    let mut after = numbered(5, 1);
    agent.produce(&topic, "none", &mut after).await;
    assert_eq!(after.iter().map(|record| record.offset).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    assert_eq!(agent.poll(5).await, after);
    agent.commit().await;
    agent.close().await;
}

/// Records that tell each other apart, spread over the partitions in turn.
fn numbered(count: i32, partitions: i32) -> Vec<Record> {
    let start_ms = now_ms() - 60_000;
    let record = |at: i32| Record {
        partition: at % partitions,
        offset: -1,
        timestamp: start_ms + i64::from(at),
        key: Some(format!("key {at}")),
        value: Some(format!("value {at}")),
        headers: Vec::new(),
    };
    (0..count).map(record).collect()
}
