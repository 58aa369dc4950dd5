//! Programs of Kafka's own that read, transform and write in transactions, killed at random together with the broker: in the
//! end each input has been processed exactly once, and in order.
//!
//! The seed of the kills is on the console; `OTTLA_KILL_SEED=n` repeats them, as far as processes can.
//!
//! On Kafka 4.3.1 itself (`OTTLA_TEST_KAFKA=apache`) not every run ends: when it is killed, it may be left with a hanging
//! transaction, which `kafka-transactions describe-producers` shows as open on a partition, and `list` as complete. Readers
//! then wait for ever. Runs that do end there find the same as here.

mod copier;
mod streams;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_client::{Client, ClientConfig, NewTopic, ProduceOutcome};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::killable::KillableBroker;
use ottla_tests::random::Random;
use ottla_tests::timestamp::now_ms;
use ottla_tests::{Runtime, console, server};

/// A broker to kill, and what decides when; `None` where that cannot be tried.
async fn broker_and_random(test: &str) -> Option<(KillableBroker, Random)> {
    if !server::can_test(&[Runtime::Java]) {
        return None;
    }
    let given = std::env::var("OTTLA_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let nanoseconds = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let seed = given.unwrap_or_else(|| u64::from(nanoseconds()));
    console::say(&format!("{test}: OTTLA_KILL_SEED={seed}"));
    Some((KillableBroker::start().await?, Random::new(seed)))
}

async fn connect(broker: &KillableBroker) -> Client {
    Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.expect("the broker serves")
}

async fn create_topics(client: &Client, topics: &[&str], partitions: i32) {
    let topics: Vec<NewTopic> =
        topics.iter().map(|topic| NewTopic::new(*topic).with_partitions(partitions)).collect();
    for outcome in client.create_topics(&topics).await.expect("the broker answers") {
        outcome.result.unwrap_or_else(|e| panic!("{} is not created: {e}", outcome.topic));
    }
}

/// Appends records, each a key and a value, in one batch.
async fn produce(client: &Client, topic: &str, partition: i32, records: &[(String, String)]) {
    let batch = encode(records);
    let outcome = client.produce(topic, partition, batch, ottla_client::Acks::All).await;
    assert!(matches!(outcome, Ok(ProduceOutcome::Acknowledged { .. })), "{outcome:?}");
}

fn encode(records: &[(String, String)]) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    for (key, value) in records {
        batch
            .push(now_ms(), Some(key.as_bytes()), Some(value.as_bytes()))
            .expect("small records make a batch");
    }
    batch.build().expect("small records make a batch")
}

/// Puts a kill at a place of a program's work that no line on its output marks: so many answers of the broker later.
async fn let_work_go_on(client: &Client, random: &mut Random) {
    for _ in 0..random.below(40) {
        // Answered or not, the kill comes.
        let _ = client.describe_cluster().await;
    }
}
