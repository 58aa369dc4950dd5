//! Kafka itself is the specification: the same requests, good and bad, get the same answers from both.

mod both;
mod configs;
mod fetch;
mod frames;
mod groups;
mod offsets;
mod produce;
mod producers;
mod topics;
mod transactional_offsets;
mod transactions;

use ottla_broker::{Broker, Config};
use ottla_client::{Client, ClientConfig};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_tests::{ApacheKafka, Runtime, runtime};

use crate::both::Both;

#[tokio::test(flavor = "multi_thread")]
async fn ottla_answers_as_kafka_does() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let kafka = ApacheKafka::start(dir.path()).await;
    let broker = Broker::start(Config::ephemeral()).await.expect("Ottla starts");
    wait_for_coordinator(kafka.bootstrap_servers()).await;
    let mut both = Both::connect(&broker.bootstrap_servers(), kafka.bootstrap_servers()).await;
    topics::ask(&mut both).await;
    produce::ask(&mut both).await;
    producers::ask(&mut both).await;
    fetch::ask(&mut both).await;
    configs::ask(&mut both).await;
    groups::ask(&mut both).await;
    offsets::ask(&mut both).await;
    transactions::ask(&mut both).await;
    transactional_offsets::ask(&mut both).await;
    frames::ask(&mut both).await;
    both.expect_same();
}

/// Kafka makes the topic of its group coordinator at the first question, and refuses groups until it has.
async fn wait_for_coordinator(bootstrap_servers: &str) {
    let client = Client::connect(ClientConfig::new(bootstrap_servers)).await.expect("Kafka serves");
    client.fetch_all_offsets("nobody").await.expect("Kafka coordinates groups");
    client.init_producer_id().await.expect("Kafka has producer ids to give");
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}
