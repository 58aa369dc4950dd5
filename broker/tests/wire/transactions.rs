//! Transactions over the wire: producers, their epochs, and what becomes of what they write.

use std::time::Duration;

use ottla_broker::{Broker, Clock, Config};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest,
    InitProducerIdRequest, ListTransactionsRequest, ProducerId, WriteTxnMarkersRequest,
};

use crate::fixture::{create_topic, fetch_request, produce_request, start, start_with};
use crate::transactional_producer::{TransactionalProducer, transactional_id};
use crate::wire::{Wire, text, topic_name, values};

const OK: i16 = 0;

async fn start_with_topic() -> (Broker, Wire) {
    let (broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 2).await;
    (broker, wire)
}

/// The values that a consumer of committed records is given, and what it has to skip as aborted.
async fn committed(wire: &mut Wire) -> (Vec<String>, usize) {
    let response = wire.call(12, fetch_request("t", 0).with_isolation_level(1)).await;
    let partition = &response.responses[0].partitions[0];
    let aborted = partition.aborted_transactions.as_ref().map_or(0, Vec::len);
    (values(partition.records.as_ref().unwrap()), aborted)
}

pub(crate) async fn state(wire: &mut Wire, id: &str) -> String {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(id)]);
    wire.call(0, request).await.transaction_states[0].transaction_state.to_string()
}

#[tokio::test]
async fn what_a_transaction_writes_is_seen_when_it_is_committed() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    assert_eq!(producer.write(&mut wire, "t", &["a", "b"]).await, OK);
    assert_eq!(state(&mut wire, "tx").await, "Ongoing");
    assert_eq!(committed(&mut wire).await, (vec![], 0));
    assert_eq!(producer.end(&mut wire, true).await, OK);
    assert_eq!(state(&mut wire, "tx").await, "CompleteCommit");
    let (seen, aborted) = committed(&mut wire).await;
    assert_eq!((&seen[..2], aborted), (&["a".to_owned(), "b".to_owned()][..], 0));
}

#[tokio::test]
async fn what_is_aborted_is_named_to_those_who_read_committed() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    assert_eq!(producer.end(&mut wire, false).await, OK);
    assert_eq!(state(&mut wire, "tx").await, "CompleteAbort");
    assert_eq!(committed(&mut wire).await.1, 1);
}

#[tokio::test]
async fn each_end_brings_the_next_epoch_and_a_retry_does_not_decide_what_comes_after() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    let first = producer.clone();
    producer.write(&mut wire, "t", &["a"]).await;
    producer.end(&mut wire, true).await;
    assert_eq!(producer.epoch, first.epoch + 1);
    assert_eq!(first.clone().end(&mut wire, true).await, OK);
    producer.write(&mut wire, "t", &["b"]).await;
    assert_eq!(first.clone().end(&mut wire, false).await, ErrorCode::ProducerFenced.code());
    assert_eq!(state(&mut wire, "tx").await, "Ongoing");
}

#[tokio::test]
async fn a_producer_that_comes_anew_fences_the_one_before_and_aborts_its_transaction() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut old = TransactionalProducer::init(&mut wire, "tx").await;
    old.write(&mut wire, "t", &["a"]).await;
    let mut new = TransactionalProducer::init(&mut wire, "tx").await;
    assert_eq!((new.id, new.epoch), (old.id, old.epoch + 2));
    assert_eq!(state(&mut wire, "tx").await, "Empty");
    assert_eq!(committed(&mut wire).await.1, 1);
    assert_eq!(old.write(&mut wire, "t", &["b"]).await, ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(old.end(&mut wire, true).await, ErrorCode::ProducerFenced.code());
    assert_eq!(new.write(&mut wire, "t", &["c"]).await, OK);
    assert_eq!(new.end(&mut wire, true).await, OK);
}

#[tokio::test]
async fn a_client_from_before_kip_890_adds_its_partitions_and_keeps_its_epoch() {
    let (_broker, mut wire) = start_with_topic().await;
    let producer = TransactionalProducer::init(&mut wire, "tx").await;
    for (produce_version, missing) in [
        (3, ErrorCode::InvalidTxnState),
        (10, ErrorCode::InvalidTxnState),
        (11, ErrorCode::TransactionAbortable),
    ] {
        let refused = producer.write_in(&mut wire, produce_version, "t", 0, &["a"]).await;
        assert_eq!(refused, missing.code(), "Produce v{produce_version}");
    }
    for version in 0..=3 {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t")).with_partitions(vec![0, 1]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional_id("tx"))
            .with_v3_and_below_producer_id(ProducerId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let added = wire.call(version, request).await;
        let results = &added.results_by_topic_v3_and_below[0].results_by_partition;
        assert!(
            results.iter().all(|result| result.partition_error_code == OK),
            "AddPartitionsToTxn v{version}"
        );
        assert_eq!(producer.write_in(&mut wire, 11, "t", i32::from(version), &["a"]).await, OK);
        let end = EndTxnRequest::default()
            .with_transactional_id(transactional_id("tx"))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(true);
        for _ in 0..2 {
            assert_eq!(wire.call(version, end.clone()).await.error_code, OK, "EndTxn v{version}");
        }
        let other = wire.call(version, end.with_committed(false)).await.error_code;
        assert_eq!(other, ErrorCode::InvalidTxnState.code(), "EndTxn v{version}");
    }
}

#[tokio::test]
async fn a_partition_that_does_not_exist_refuses_all_and_verification_adds_none() {
    let (_broker, mut wire) = start_with_topic().await;
    let topic =
        |name: &str| AddPartitionsToTxnTopic::default().with_name(topic_name(name)).with_partitions(vec![0]);
    for version in 4..=5 {
        let producer = TransactionalProducer::init(&mut wire, "tx").await;
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(transactional_id("tx"))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch);
        let not_attempted = ErrorCode::OperationNotAttempted.code();
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        let abortable = ErrorCode::TransactionAbortable.code();
        for (verify_only, topics, expected) in [
            (false, vec![topic("t"), topic("u")], vec![not_attempted, unknown]),
            (true, vec![topic("t")], vec![abortable]),
            (false, vec![topic("t")], vec![OK]),
            (true, vec![topic("t")], vec![OK]),
        ] {
            let transaction = transaction.clone().with_verify_only(verify_only).with_topics(topics);
            let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
            let answer = wire.call(version, request).await;
            let results = answer.results_by_transaction[0].topic_results.iter();
            let codes = results.map(|topic| topic.results_by_partition[0].partition_error_code);
            assert_eq!(codes.collect::<Vec<_>>(), expected, "v{version}, verify_only {verify_only}");
        }
    }
}

#[tokio::test]
async fn requests_that_no_transaction_can_come_of_are_refused() {
    let (_broker, mut wire) = start_with_topic().await;
    let init = InitProducerIdRequest::default().with_transaction_timeout_ms(60_000);
    for (id, timeout_ms, expected) in [
        ("", 60_000, ErrorCode::InvalidRequest),
        ("tx", 0, ErrorCode::InvalidTransactionTimeout),
        ("tx", 900_001, ErrorCode::InvalidTransactionTimeout),
    ] {
        let request = init.clone().with_transactional_id(Some(transactional_id(id)));
        let refused = wire.call(5, request.with_transaction_timeout_ms(timeout_ms)).await.error_code;
        assert_eq!(refused, expected.code(), "{id:?}, {timeout_ms} ms");
    }
    let unknown =
        TransactionalProducer { name: "nobody".to_owned(), id: 7, epoch: 0, sequences: Default::default() };
    assert_eq!(unknown.clone().end(&mut wire, true).await, ErrorCode::InvalidProducerIdMapping.code());
    let refused = unknown.write_in(&mut wire, 12, "t", 0, &["a"]).await;
    assert_eq!(refused, ErrorCode::InvalidProducerIdMapping.code());
    let without_id = produce_request("t", 0, unknown.batch(0, &["a"]));
    let refused = wire.call(12, without_id).await.responses[0].partition_responses[0].error_code;
    assert_eq!(refused, ErrorCode::TransactionalIdAuthorizationFailed.code());
}

#[tokio::test]
async fn a_transaction_that_times_out_holds_up_no_reader() {
    let clock = Clock::manual(Clock::system().now_ms());
    let (broker, mut wire) = start_with(Config::ephemeral().with_clock(clock.clone())).await;
    create_topic(&mut wire, "t", 2).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    let waiting = fetch_request("t", 0).with_isolation_level(1).with_max_wait_ms(i32::MAX);
    let mut reader = Wire::connect(&broker).await;
    let correlation_id = reader.send(12, waiting).await;
    clock.advance(Duration::from_millis(70_001));
    let answer = reader.receive::<FetchRequest>(12, correlation_id).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.aborted_transactions.as_ref().map(Vec::len), Some(1));
    assert_eq!(partition.last_stable_offset, 2, "behind the record and its marker");
    assert_eq!(state(&mut wire, "tx").await, "CompleteAbort");
    assert_eq!(producer.write(&mut wire, "t", &["b"]).await, ErrorCode::InvalidProducerEpoch.code());
}

#[tokio::test]
async fn a_write_outside_of_an_open_transaction_is_refused() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    let plain = crate::wire::producer_batch(producer.id, producer.epoch, 1, &["b"]);
    let refused = crate::fixture::produce(&mut wire, "t", plain).await.error_code;
    assert_eq!(refused, ErrorCode::InvalidTxnState.code());
}

#[tokio::test]
async fn transactions_are_listed_by_state_producer_age_and_name() {
    let (_broker, mut wire) = start_with_topic().await;
    let mut open = TransactionalProducer::init(&mut wire, "orders-1").await;
    open.write(&mut wire, "t", &["a"]).await;
    let idle = TransactionalProducer::init(&mut wire, "orders-2").await;
    let all = || ListTransactionsRequest::default().with_duration_filter(-1);
    let asked = [
        (0, all(), vec!["orders-1", "orders-2"]),
        (0, all().with_state_filters(vec![text("Ongoing")]), vec!["orders-1"]),
        (1, all().with_producer_id_filters(vec![ProducerId(idle.id)]), vec!["orders-2"]),
        (1, all().with_state_filters(vec![text("Ongoing")]).with_duration_filter(60_000), vec![]),
        (2, all().with_transactional_id_pattern(Some(text(".*-2"))), vec!["orders-2"]),
    ];
    for (version, request, expected) in asked {
        let listed = wire.call(version, request.clone()).await;
        let mut names: Vec<_> =
            listed.transaction_states.iter().map(|listed| listed.transactional_id.to_string()).collect();
        names.sort();
        assert_eq!(
            (listed.error_code, names),
            (OK, expected.iter().map(ToString::to_string).collect()),
            "{request:?}"
        );
    }
    let request = DescribeTransactionsRequest::default()
        .with_transactional_ids(["orders-1", "nobody", ""].map(transactional_id).to_vec());
    let described = wire.call(0, request).await.transaction_states;
    let codes: Vec<_> = described.iter().map(|state| state.error_code).collect();
    let (not_found, invalid) = (ErrorCode::TransactionalIdNotFound.code(), ErrorCode::InvalidRequest.code());
    assert_eq!(codes, [OK, not_found, invalid]);
    let open = &described[0].topics[0];
    assert_eq!((&**open.topic, &open.partitions[..]), ("t", &[0][..]));
}

#[tokio::test]
async fn a_marker_from_outside_ends_a_transaction_in_one_partition() {
    let (_broker, mut wire) = start_with_topic().await;
    TransactionalProducer::init(&mut wire, "tx").await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    let mark = |epoch: i16, topic: &str, partitions: Vec<i32>| {
        let topic =
            WritableTxnMarkerTopic::default().with_name(topic_name(topic)).with_partition_indexes(partitions);
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(epoch)
            .with_transaction_result(false)
            .with_topics(vec![topic]);
        WriteTxnMarkersRequest::default().with_markers(vec![marker])
    };
    let written = wire.call(1, mark(producer.epoch, "t", vec![0, 9])).await;
    let codes = written.markers[0].topics[0].partitions.iter().map(|partition| partition.error_code);
    assert_eq!(codes.collect::<Vec<_>>(), [OK, ErrorCode::UnknownTopicOrPartition.code()]);
    assert_eq!(committed(&mut wire).await.1, 1);
    let late = wire.call(1, mark(producer.epoch - 1, "t", vec![0])).await;
    let code = late.markers[0].topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::InvalidProducerEpoch.code());
}
