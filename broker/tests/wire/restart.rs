use std::path::Path;

use ottla_broker::{Broker, Config};
use ottla_protocol::messages::{InitProducerIdRequest, MetadataRequest};

use crate::fixture::{create_topic, fetch_request, produce, start, start_with};
use crate::wire::{Wire, batch, producer_batch, values};

fn in_dir(dir: &Path) -> Config {
    Config::ephemeral().with_data_dir(dir)
}

async fn check_survives(stop: impl AsyncFnOnce(Broker)) {
    let dir = tempfile::tempdir().unwrap();
    let (broker, mut wire) = start_with(in_dir(dir.path())).await;
    let topic_id = create_topic(&mut wire, "t", 2).await;
    let producer_id =
        wire.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await.producer_id;
    produce(&mut wire, "t", producer_batch(producer_id.0, 0, 0, &["a", "b"])).await;
    let before = wire.call(12, MetadataRequest::default().with_topics(None)).await;
    stop(broker).await;
    wire.closed().await;

    let (broker, mut wire) = start_with(in_dir(dir.path())).await;
    let after = wire.call(12, MetadataRequest::default().with_topics(None)).await;
    assert_eq!((&after.topics, &after.cluster_id), (&before.topics, &before.cluster_id));
    assert_eq!(after.topics[0].topic_id, topic_id);
    let fetched = wire.call(12, fetch_request("t", 0)).await;
    assert_eq!(values(fetched.responses[0].partitions[0].records.as_ref().unwrap()), ["a", "b"]);
    let again = produce(&mut wire, "t", producer_batch(producer_id.0, 0, 0, &["a", "b"])).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0), "the producer's sequence is remembered");
    assert_eq!(produce(&mut wire, "t", batch(&["c"])).await.base_offset, 2);
    let next_id =
        wire.call(5, InitProducerIdRequest::default().with_transactional_id(None)).await.producer_id;
    assert_ne!(next_id, producer_id, "no producer id is given twice");
    broker.shutdown().await;
}

#[tokio::test]
async fn a_stopped_broker_goes_on_where_it_was() {
    check_survives(async |broker: Broker| broker.shutdown().await).await;
}

#[tokio::test]
async fn a_dropped_broker_goes_on_where_it_was() {
    check_survives(async |broker: Broker| drop(broker)).await;
}

#[tokio::test]
async fn a_directory_has_one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Broker::start(in_dir(dir.path())).await.unwrap();
    let error = Broker::start(in_dir(dir.path())).await.err().unwrap().to_string();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    first.shutdown().await;
    Broker::start(in_dir(dir.path())).await.unwrap();
}

#[tokio::test]
async fn an_ephemeral_broker_leaves_nothing_behind() {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let dir = broker.data_dir().to_owned();
    assert!(dir.exists());
    drop(wire);
    drop(broker);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_hundred_brokers_live_side_by_side() {
    let mut brokers = Vec::new();
    for _ in 0..100 {
        brokers.push(Broker::start(Config::ephemeral()).await.unwrap());
    }
    for (at, broker) in brokers.iter().enumerate() {
        let mut wire = Wire::connect(broker).await;
        create_topic(&mut wire, "t", 1).await;
        assert_eq!(produce(&mut wire, "t", batch(&[&at.to_string()])).await.base_offset, 0);
        let fetched = wire.call(12, fetch_request("t", 0)).await;
        assert_eq!(values(fetched.responses[0].partitions[0].records.as_ref().unwrap()), [at.to_string()]);
    }
    let mut addresses: Vec<_> = brokers.iter().map(Broker::bootstrap_servers).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 100);
}
