//! A broker as the fixture of a Rust test.

use ottla_broker::{Broker, Config};
use ottla_client::{Acks, Client, ClientConfig, ProduceOutcome};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::partition;
use ottla_tests::timestamp::now_ms;

/// The example of the README.
#[tokio::test]
async fn orders_are_counted() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::start(Config::ephemeral()).await?;
    let client = Client::connect(ClientConfig::new(broker.bootstrap_servers())).await?;

    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(now_ms(), Some(b"order 1"), Some(b"9.90"))?;
    client.produce("orders", 0, batch.build()?, Acks::All).await?;

    assert_eq!(partition::read(&client, "orders", 0).await.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_brokers_at_once() {
    let starts: Vec<_> = (0..100).map(|_| tokio::spawn(Broker::start(Config::ephemeral()))).collect();
    let mut brokers = Vec::new();
    for start in starts {
        brokers.push(start.await.expect("the start does not panic").expect("a broker starts"));
    }
    let uses: Vec<_> =
        brokers.iter().map(|broker| tokio::spawn(use_alone(broker.bootstrap_servers()))).collect();
    for used in uses {
        used.await.expect("each broker is its test's own");
    }
}

/// Fails if another test's records are in the topic of the same name.
async fn use_alone(bootstrap_servers: String) {
    let client = Client::connect(ClientConfig::new(&bootstrap_servers)).await.expect("the broker serves");
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(now_ms(), None, Some(bootstrap_servers.as_bytes())).expect("a small record");
    let batch = batch.build().expect("a batch of one record");
    let outcome =
        client.produce("alone", 0, batch, Acks::All).await.expect("the topic is made by its first record");
    assert!(matches!(outcome, ProduceOutcome::Acknowledged { base_offset: 0, .. }), "{outcome:?}");
    let records = partition::read(&client, "alone", 0).await;
    let values: Vec<_> = records.iter().map(|record| record.value.as_deref()).collect();
    assert_eq!(values, [Some(bootstrap_servers.as_str())]);
}
