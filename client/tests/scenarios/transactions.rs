//! Records and offsets that count together or not at all.

use std::time::Duration;

use ottla_client::producer::{OutgoingRecord, ProducerConfig, ProducerError, TransactionalProducer};
use ottla_client::{
    Client, Fetch, IsolationLevel, NewTopic, OffsetToCommit, TransactionProtocol, TransactionalIdentity,
};
use ottla_protocol::ErrorCode;

use super::{create, fetch_from, unique};

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn a_transaction_counts_whole_or_not_at_all(client: Client) {
    let (topic, group) = (unique("transaction"), unique("transaction-group"));
    create(&client, NewTopic::new(&topic).with_partitions(2)).await;
    let producer = start(&client, &topic).await;
    check_rounds(&client, producer, &topic, &group).await;
}

pub(crate) async fn the_first_transaction_protocol_is_spoken_with_brokers_that_know_no_other(client: Client) {
    let (topic, group) = (unique("transaction-v1"), unique("transaction-v1-group"));
    create(&client, NewTopic::new(&topic).with_partitions(2)).await;
    let identity = client.init_transactions(&topic, TIMEOUT).await.unwrap();
    let identity = TransactionalIdentity { protocol: TransactionProtocol::V1, ..identity };
    let producer = TransactionalProducer::with_identity(client.clone(), identity, small_batches());
    check_rounds(&client, producer, &topic, &group).await;
}

async fn check_rounds(client: &Client, mut producer: TransactionalProducer, topic: &str, group: &str) {
    for round in 0..3 {
        send(&mut producer, topic, 0, &format!("aborted {round}")).await;
        producer.commit_offsets(group, &[offset(topic, 100 + round)]).await.unwrap();
        producer.abort().await.unwrap();
        send(&mut producer, topic, 0, &format!("first {round}")).await;
        send(&mut producer, topic, 1, &format!("second {round}")).await;
        producer.commit_offsets(group, &[offset(topic, round)]).await.unwrap();
        producer.commit().await.unwrap();
        let committed = client.fetch_all_stable_offsets(group).await.unwrap();
        assert_eq!(committed.len(), 1);
        let expected = format!("batch={round}");
        assert_eq!((committed[0].offset, committed[0].metadata.as_deref()), (round, Some(expected.as_str())));
    }
    assert_eq!(committed_values(client, topic, 0).await, ["first 0", "first 1", "first 2"]);
    assert_eq!(committed_values(client, topic, 1).await, ["second 0", "second 1", "second 2"]);
    // One with nothing in it is no transaction, and may be ended all the same.
    producer.commit().await.unwrap();
    producer.abort().await.unwrap();
}

pub(crate) async fn the_next_producer_of_a_transactional_id_ends_what_was_left_open(client: Client) {
    let (topic, group) = (unique("fenced"), unique("fenced-group"));
    create(&client, NewTopic::new(&topic).with_partitions(1)).await;
    let mut first = start(&client, &topic).await;
    send(&mut first, &topic, 0, "kept").await;
    first.commit().await.unwrap();
    send(&mut first, &topic, 0, "left open").await;
    first.commit_offsets(&group, &[offset(&topic, 7)]).await.unwrap();

    let mut second = start(&client, &topic).await;
    assert_eq!(client.fetch_all_stable_offsets(&group).await.unwrap(), []);
    let Err(ProducerError::Request(error)) = first.commit().await else {
        panic!("a producer that was fenced has committed");
    };
    assert!(
        matches!(error.code(), Some(ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch)),
        "{error}"
    );
    send(&mut second, &topic, 0, "by the second").await;
    second.commit().await.unwrap();
    assert_eq!(committed_values(&client, &topic, 0).await, ["kept", "by the second"]);
}

async fn start(client: &Client, transactional_id: &str) -> TransactionalProducer {
    TransactionalProducer::new(client.clone(), transactional_id, TIMEOUT, small_batches()).await.unwrap()
}

fn small_batches() -> ProducerConfig {
    ProducerConfig { batch_bytes: 200, ..ProducerConfig::default() }
}

async fn send(producer: &mut TransactionalProducer, topic: &str, partition: i32, value: &str) {
    let (partition, value) = (Some(partition), Some(value.as_bytes()));
    producer.send(topic, &OutgoingRecord { partition, value, ..Default::default() }).await.unwrap();
}

fn offset(topic: &str, offset: i64) -> OffsetToCommit {
    let mut offset = OffsetToCommit::new(topic, 0, offset);
    offset.metadata = Some(format!("batch={}", offset.offset));
    offset
}

/// The values that a consumer of `read_committed` gets.
async fn committed_values(client: &Client, topic: &str, partition: i32) -> Vec<String> {
    let fetch = Fetch { isolation_level: IsolationLevel::ReadCommitted, ..fetch_from(topic, partition, 0) };
    let fetched = client.fetch(&fetch).await.unwrap().remove(0);
    let mut values = Vec::new();
    for batch in fetched.committed_batches() {
        let records = batch.unwrap().records(1 << 20).unwrap();
        for record in &records {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}
