//! What is in the directory, and how it changes.

use std::path::Path;

use ottla_client::{
    Acks, Client, ClientConfig, Committer, NewTopic, OffsetToCommit, ProduceOutcome, TopicOutcome,
};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::timestamp::now_ms;
use ottla_tests::{ClientLibrary, KafkaRelease, KafkaTools, Record, Tool, View};

/// Groups whose offsets are compared: of a client without a group protocol, a classic group, one of KIP-848, and one
/// whose offsets are part of transactions.
pub(crate) const GROUPS: [&str; 4] = ["standalone", "classic", "consumer", "transactional"];

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Lets a Kafka have something of everything.
pub(crate) async fn fill(bootstrap_servers: &str, logs: &Path) {
    let client = connect(bootstrap_servers).await;
    create(&client, "codecs", 3, &[("retention.bytes", "123456789"), ("segment.bytes", "1048576")]).await;
    create(&client, "compacted", 1, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.9")])
        .await;
    create(&client, "grown", 1, &[]).await;
    create(&client, "deleted", 2, &[]).await;
    create(&client, "again", 1, &[("retention.ms", "1000000")]).await;
    create(&client, "transactions", 2, &[]).await;
    for topic in ["codecs", "grown", "compacted", "deleted", "again"] {
        produce(&client, topic, 0, 20).await;
    }
    produce(&client, "codecs", 1, 100).await;
    grow(&client, "grown", 3).await;
    done(client.delete_topics(&["deleted", "again"]).await.expect("the broker answers"));
    create(&client, "again", 2, &[]).await;
    produce(&client, "again", 1, 5).await;
    commit(&client, &[("codecs", 0, 7), ("codecs", 1, 8), ("grown", 2, 0)]).await;
    transactions_and_groups(bootstrap_servers, logs).await;
}

/// What [`fill`] leaves, as far as the rest depends on it.
pub(crate) fn check(seen: &View) {
    assert_eq!(
        seen.topics.keys().collect::<Vec<_>>(),
        ["again", "codecs", "compacted", "grown", "transactions"]
    );
    assert_eq!(seen.topics["grown"].partitions.len(), 3);
    assert_eq!(seen.partition("again", 0).end_offset, 0);
    let transactions = seen.partition("transactions", 0);
    // Three of ten records each, of which two have a marker.
    assert_eq!((transactions.last_stable_offset, transactions.end_offset), (22, 32));
    assert_eq!(transactions.aborted_transactions.len(), 1);
    for group in GROUPS {
        assert!(!seen.offsets[group].is_empty(), "{group}");
    }
}

/// Adds to everything, makes a topic and deletes one; and what is seen then.
pub(crate) async fn change(bootstrap_servers: &str, logs: &Path, name: &str) -> View {
    let client = connect(bootstrap_servers).await;
    for topic in ["codecs", "compacted", "grown", "again"] {
        produce(&client, topic, 0, 10).await;
    }
    let passing = format!("{name}-passing");
    create(&client, &passing, 1, &[]).await;
    produce(&client, &passing, 0, 1).await;
    create(&client, name, 2, &[("max.message.bytes", "54321")]).await;
    produce(&client, name, 1, 10).await;
    done(client.delete_topics(&[&passing]).await.expect("the broker answers"));
    let grown = client.metadata(&["grown"]).await.expect("the broker answers");
    let partitions = grown.topic("grown").expect("it is there").partitions.len() as i32 + 1;
    grow(&client, "grown", partitions).await;
    produce(&client, "grown", partitions - 1, 3).await;
    commit(&client, &[("codecs", 0, 10), (name, 1, 3)]).await;
    set_retention(bootstrap_servers, "codecs", 1_000_000_000 + i64::from(partitions)).await;
    go_on_as_java(bootstrap_servers, logs, name).await;
    View::of(bootstrap_servers, &GROUPS).await
}

async fn transactions_and_groups(bootstrap_servers: &str, logs: &Path) {
    let mut java = ClientLibrary::Java(KafkaRelease::V4_3_1).start(bootstrap_servers, logs).await;
    for id in ["committed", "aborted", "open"] {
        java.begin(id).await;
        java.send(id, "transactions", &records(id)).await;
        let offset = if id == "committed" { 5 } else { 6 };
        java.send_offsets(id, "transactional", "transactions", &[(0, offset)]).await;
        match id {
            "committed" => java.commit_transaction(id).await,
            "aborted" => java.abort_transaction(id).await,
            _ => {}
        }
    }
    java.subscribe("codecs", "classic").await;
    java.poll(50).await;
    java.commit().await;
    java.close().await;
    java.subscribe_with_consumer_protocol("codecs", "consumer").await;
    java.poll(60).await;
    java.commit().await;
    java.close().await;
    // One transaction stays open.
    java.kill().await;
}

/// The classic group goes on where it was, and transactions end either way.
async fn go_on_as_java(bootstrap_servers: &str, logs: &Path, name: &str) {
    let mut java = ClientLibrary::Java(KafkaRelease::V4_3_1).start(bootstrap_servers, logs).await;
    java.subscribe("codecs", "classic").await;
    java.poll(10).await;
    java.commit().await;
    java.close().await;
    for id in ["committed", "aborted"] {
        java.begin(id).await;
        java.send(id, "transactions", &records_for(1, name)).await;
        java.send_offsets(id, "transactional", "transactions", &[(1, 3)]).await;
        match id {
            "committed" => java.commit_transaction(id).await,
            _ => java.abort_transaction(id).await,
        }
    }
}

/// The first thing that a producer of the same transactional id does is to abort what the one before left open.
pub(crate) async fn end_open_transaction(bootstrap_servers: &str, logs: &Path) {
    let mut java = ClientLibrary::Java(KafkaRelease::V4_3_1).start(bootstrap_servers, logs).await;
    java.begin("open").await;
    java.send("open", "transactions", &records("open")).await;
    java.commit_transaction("open").await;
}

fn records(name: &str) -> Vec<Record> {
    records_for(0, name)
}

fn records_for(partition: i32, name: &str) -> Vec<Record> {
    let record = |number| Record {
        partition,
        offset: -1,
        timestamp: now_ms(),
        key: Some(format!("{name} {number}")),
        value: Some("value".to_owned()),
        headers: Vec::new(),
    };
    (0..10).map(record).collect()
}

async fn connect(bootstrap_servers: &str) -> Client {
    Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("the broker serves")
}

async fn create(client: &Client, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
    let configs = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let topic = NewTopic { configs, ..NewTopic::new(topic).with_partitions(partitions) };
    done(client.create_topics(&[topic]).await.expect("the broker answers"));
}

async fn grow(client: &Client, topic: &str, partitions: i32) {
    done(client.create_partitions(&[(topic, partitions)]).await.expect("the broker answers"));
    // Kafka's controller answers before its broker knows.
    let known = async || {
        let metadata = client.metadata(&[topic]).await.expect("the broker answers");
        metadata.topic(topic).is_some_and(|topic| topic.partitions.len() as i32 == partitions)
    };
    while !known().await {}
}

fn done(outcomes: Vec<TopicOutcome>) {
    for outcome in outcomes {
        assert_eq!(outcome.result, Ok(()), "{}", outcome.topic);
    }
}

/// Batches of ten records, of every codec in turn.
async fn produce(client: &Client, topic: &str, partition: i32, records: usize) {
    for (number, compression) in (0..records.div_ceil(10)).zip(CODECS.into_iter().cycle()) {
        let mut batch = BatchBuilder::new(compression);
        for record in 0..10.min(records) {
            let (key, value) = (format!("key {record}"), format!("{topic} {partition} {number}"));
            batch.push(now_ms(), Some(key.as_bytes()), Some(value.as_bytes())).expect("small records");
        }
        let batch = batch.build().expect("a batch of small records");
        let outcome =
            client.produce(topic, partition, batch, Acks::All).await.expect("the broker takes a batch");
        assert!(matches!(outcome, ProduceOutcome::Acknowledged { .. }), "{outcome:?}");
    }
}

async fn commit(client: &Client, offsets: &[(&str, i32, i64)]) {
    let offsets: Vec<_> = offsets
        .iter()
        .map(|&(topic, partition, offset)| OffsetToCommit::new(topic, partition, offset))
        .collect();
    client
        .commit_offsets(GROUPS[0], Committer::Standalone, &offsets)
        .await
        .expect("the offsets are committed");
}

async fn set_retention(bootstrap_servers: &str, topic: &str, retention_bytes: i64) {
    let tools = KafkaTools::new(KafkaRelease::V4_3_1, bootstrap_servers.to_owned());
    let setting = format!("retention.bytes={retention_bytes}");
    let alter = ["--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", &setting];
    tools.tool(Tool::Configs, "").await.args(alter).run().await;
}
