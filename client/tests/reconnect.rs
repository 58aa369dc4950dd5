//! Brokers that come late, go, and come back.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ottla_broker::{Broker, Config};
use ottla_client::producer::{OutgoingRecord, Producer, ProducerConfig};
use ottla_client::{Acks, Client, ClientConfig, OffsetSpec, ProduceOutcome};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use tokio::sync::Notify;

#[tokio::test]
async fn a_server_that_is_away_is_passed_over() {
    let broker = Broker::start(Config::ephemeral()).await.unwrap();
    let servers = format!("{},{}", free_address(), broker.bootstrap_servers());
    let client = Client::connect(ClientConfig::new(servers)).await.unwrap();
    assert_eq!(client.describe_cluster().await.unwrap().brokers.len(), 1);
}

#[tokio::test]
async fn a_broker_that_is_not_there_yet_is_waited_for_and_mentioned_once() {
    let address = free_address();
    let (mentions, mentioned) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let config = ClientConfig::new(&address).waiting({
        let (mentions, mentioned) = (Arc::clone(&mentions), Arc::clone(&mentioned));
        move |_| {
            mentions.fetch_add(1, Ordering::Relaxed);
            mentioned.notify_one();
        }
    });
    let connecting = tokio::spawn(Client::connect(config));
    mentioned.notified().await;
    let _broker = Broker::start(at(&address)).await.unwrap();
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(client.metadata(&[]).await.unwrap().brokers.len(), 1);
    assert_eq!(mentions.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_idempotent_producer_outlasts_a_restart() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let config = || at(&address).with_data_dir(dir.path());
    let broker = Broker::start(config()).await.unwrap();
    let client = Client::connect(ClientConfig::new(&address)).await.unwrap();
    let mut producer = Producer::new(client.clone(), "t", ProducerConfig::default()).await.unwrap();
    send(&mut producer, b"before").await;

    broker.shutdown().await;
    let restarting = tokio::spawn(Broker::start(config()));
    send(&mut producer, b"after").await;
    let _broker = restarting.await.unwrap().unwrap();
    let end = client.list_offsets(&[("t", 0, OffsetSpec::Latest)]).await.unwrap();
    assert_eq!((end[0].offset, producer.acknowledged()), (Some(2), 2));
}

#[tokio::test]
async fn a_batch_sent_twice_is_written_once() {
    let broker = Broker::start(Config::ephemeral()).await.unwrap();
    let client = Client::connect(ClientConfig::new(broker.bootstrap_servers())).await.unwrap();
    let identity = client.init_producer_id().await.unwrap();
    let mut builder =
        BatchBuilder::new(Compression::None).with_producer(identity.producer_id, identity.producer_epoch, 0);
    builder.push(0, None, Some(b"once")).unwrap();
    let batch = builder.build().unwrap();
    for _ in 0..2 {
        let outcome = client.produce("t", 0, batch.clone(), Acks::All).await.unwrap();
        assert!(matches!(outcome, ProduceOutcome::Acknowledged { base_offset: 0, .. }), "{outcome:?}");
    }
    let end = client.list_offsets(&[("t", 0, OffsetSpec::Latest)]).await.unwrap();
    assert_eq!(end[0].offset, Some(1));
}

async fn send(producer: &mut Producer, value: &[u8]) {
    producer.send(&OutgoingRecord { value: Some(value), ..Default::default() }).await.unwrap();
    producer.flush().await.unwrap();
}

fn at(address: &str) -> Config {
    Config::ephemeral().with_listeners(vec![address.parse().unwrap()])
}

/// One that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
