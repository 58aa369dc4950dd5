//! A transaction that Kafka has left open times out after Ottla has taken its directory over, as it would have in Kafka.

use std::time::Duration;

use ottla_broker::listener::ListenAddress;
use ottla_broker::{Broker, Clock, Config};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::describe_transactions_response::TransactionState;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    DescribeTransactionsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest,
    InitProducerIdResponse, MetadataRequest, ProduceRequest, TopicName, TransactionalId,
};
use ottla_protocol::{Compression, StrBytes};
use ottla_tests::timestamp::now_ms;
use ottla_tests::wire::Wire;
use ottla_tests::{ApacheKafka, Quorum, Runtime, runtime};

const TOPIC: &str = "t";
const TIMEOUT_MS: i64 = 60_000;
/// How often open transactions are looked at.
const CHECK_MS: i64 = 10_000;
/// Kafka's coordinators need a moment before they serve.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_has_left_open_times_out_counted_from_its_start() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let log_dir = dir.path().join("data");
    let kafka = ApacheKafka::start_at(&log_dir, dir.path(), Quorum::Configured).await;
    let began_after_ms = now_ms();
    leave_open(&mut Wire::connect(kafka.bootstrap_servers()).await).await;
    kafka.kill().await;

    let clock = Clock::manual(now_ms());
    let address = ListenAddress { host: "127.0.0.1".to_owned(), port: 0 };
    let config = Config::default().with_listeners(vec![address]).with_data_dir(&log_dir);
    let broker = Broker::start(config.with_clock(clock.clone())).await.expect("it takes the directory over");
    let mut wire = Wire::connect(&broker.bootstrap_servers()).await;
    let open = described(&mut wire).await;
    assert_eq!((&*open.transaction_state, i64::from(open.transaction_timeout_ms)), ("Ongoing", TIMEOUT_MS));
    let start_ms = open.transaction_start_time_ms;
    assert!((began_after_ms..=clock.now_ms()).contains(&start_ms), "it began at {start_ms}");

    let mut reader = Wire::connect(&broker.bootstrap_servers()).await;
    reader.send(12, fetch_committed()).await;
    advance_to(&clock, start_ms + TIMEOUT_MS);
    assert_eq!(&*described(&mut wire).await.transaction_state, "Ongoing");
    advance_to(&clock, start_ms + TIMEOUT_MS + CHECK_MS);
    let fetched = reader.receive::<FetchRequest>(12).await;
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!(partition.aborted_transactions.as_ref().map(Vec::len), Some(1));
    assert_eq!(partition.last_stable_offset, 2, "behind the record and its marker");
    assert_eq!(&*described(&mut wire).await.transaction_state, "CompleteAbort");
    broker.shutdown().await;
}

/// A transaction of one record.
async fn leave_open(wire: &mut Wire) {
    let asked = MetadataRequestTopic::default().with_name(Some(topic()));
    let create =
        MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(true);
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id()))
        .with_transaction_timeout_ms(TIMEOUT_MS as i32);
    // Kafka makes its coordinator's topic when somebody looks for the coordinator.
    let find = FindCoordinatorRequest::default()
        .with_key_type(1)
        .with_coordinator_keys(vec![StrBytes::from_static_str("tx")]);
    let ready = async {
        while wire.call(4, find.clone()).await.coordinators[0].error_code != 0 {}
        while wire.call(12, create.clone()).await.topics[0].error_code != 0 {}
        loop {
            let given = wire.call(5, init.clone()).await;
            if given.error_code == 0 {
                return given;
            }
        }
    };
    let given = tokio::time::timeout(LIMIT, ready).await.expect("Kafka's coordinator serves in time");
    let data = PartitionProduceData::default().with_records(Some(record_of(&given)));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    let write = ProduceRequest::default()
        .with_transactional_id(Some(transactional_id()))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![data]);
    let written = wire.call(12, write).await;
    assert_eq!(written.responses[0].partition_responses[0].error_code, 0);
}

fn record_of(producer: &InitProducerIdResponse) -> bytes::Bytes {
    let batch = BatchBuilder::new(Compression::None);
    let mut batch = batch.with_producer(producer.producer_id.0, producer.producer_epoch, 0).transactional();
    batch.push(now_ms(), None, Some(b"a")).expect("a record fits");
    batch.build().expect("a batch of one record")
}

fn fetch_committed() -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_session_epoch(-1)
        .with_isolation_level(1)
        .with_max_wait_ms(i32::MAX)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

async fn described(wire: &mut Wire) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id()]);
    wire.call(0, request).await.transaction_states.remove(0)
}

fn advance_to(clock: &Clock, at_ms: i64) {
    let ms = u64::try_from(at_ms - clock.now_ms()).expect("it has not come so far");
    clock.advance(Duration::from_millis(ms));
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn transactional_id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("tx"))
}
