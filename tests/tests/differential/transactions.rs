//! The transaction APIs: who is let to do what, and which errors the others are told.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, EndTxnRequest, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, ListTransactionsRequest, ProduceRequest, ProducerId, TransactionalId,
    WriteTxnMarkersRequest,
};
use ottla_protocol::{Compression, ErrorCode, NO_PRODUCER_ID, StrBytes};
use ottla_tests::timestamp::now_ms;

use crate::both::Both;
use crate::topics::TOPIC;
use crate::{text, topic_name};

/// A producer, as each of the two knows it.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) name: &'static str,
    pub(crate) ids: [i64; 2],
    pub(crate) epoch: i16,
    sequence: i32,
}

pub(crate) async fn ask(both: &mut Both) {
    find_coordinator(both).await;
    strangers(both).await;
    initialise(both).await;
    each_transaction_an_epoch(both).await;
    one_epoch_for_all(both).await;
    add_partitions(both).await;
    writes(both).await;
    descriptions(both).await;
    markers(both).await;
}

pub(crate) fn transactional_id(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}

impl Producer {
    /// A producer that comes anew.
    pub(crate) async fn init(both: &mut Both, name: &'static str) -> Producer {
        let mut producer = Producer { name, ids: [NO_PRODUCER_ID; 2], epoch: -1, sequence: 0 };
        producer.go_on(both, "anew", 5, None).await;
        producer
    }

    /// The same producer, under another transactional id.
    pub(crate) fn under(&self, name: &'static str) -> Producer {
        Producer { name, ..self.clone() }
    }

    pub(crate) fn earlier(&self, epochs: i16) -> Producer {
        Producer { epoch: self.epoch - epochs, ..self.clone() }
    }

    fn stranger(&self) -> Producer {
        Producer { ids: [77_777; 2], ..self.clone() }
    }

    /// InitProducerId, naming `known`; takes over what it is told.
    async fn go_on(&mut self, both: &mut Both, what: &str, version: i16, known: Option<&Producer>) {
        let request = |at: usize| {
            InitProducerIdRequest::default()
                .with_transactional_id(Some(transactional_id(self.name)))
                .with_transaction_timeout_ms(60_000)
                .with_producer_id(ProducerId(known.map_or(NO_PRODUCER_ID, |known| known.ids[at])))
                .with_producer_epoch(known.map_or(-1, |known| known.epoch))
        };
        let what = format!("InitProducerId v{version} of {}: {what}", self.name);
        let told = both
            .ask_each(
                &what,
                version,
                [request(0), request(1)],
                |response| vec![response.error_code],
                |response| response.producer_epoch,
            )
            .await;
        if told[0].error_code == 0 && told[1].error_code == 0 {
            let is_same = |at: usize| self.ids[at] == told[at].producer_id.0;
            assert_eq!(is_same(0), is_same(1), "{what}: one got another id");
            self.ids = [told[0].producer_id.0, told[1].producer_id.0];
            self.epoch = told[1].producer_epoch;
            self.sequence = 0;
        }
    }

    /// Ends the transaction; a client of v5 takes over what it is told.
    pub(crate) async fn end(&mut self, both: &mut Both, what: &str, version: i16, committed: bool) {
        let request = |at: usize| {
            EndTxnRequest::default()
                .with_transactional_id(transactional_id(self.name))
                .with_producer_id(ProducerId(self.ids[at]))
                .with_producer_epoch(self.epoch)
                .with_committed(committed)
        };
        let what = format!("EndTxn v{version}, committed {committed}, of {}: {what}", self.name);
        let told = both
            .ask_each(
                &what,
                version,
                [request(0), request(1)],
                |response| vec![response.error_code],
                |response| response.producer_epoch,
            )
            .await;
        if version >= 5 && told[0].error_code == 0 && told[1].error_code == 0 {
            self.ids = [told[0].producer_id.0, told[1].producer_id.0];
            self.epoch = told[1].producer_epoch;
            self.sequence = 0;
        }
        self.settle(both).await;
    }

    /// Until then Kafka lets a producer of the older protocol write as if its transaction were still open.
    async fn settle(&self, both: &mut Both) {
        let request = || {
            DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(self.name)])
        };
        let codes = |response: &DescribeTransactionsResponse| {
            let is_ending = response.transaction_states[0].transaction_state.starts_with("Prepare");
            vec![if is_ending { ErrorCode::ConcurrentTransactions.code() } else { 0 }]
        };
        let what = format!("DescribeTransactions of {} until it is complete", self.name);
        both.ask_each(&what, 0, [request(), request()], codes, |_| ()).await;
    }

    pub(crate) async fn write(&mut self, both: &mut Both, what: &str, version: i16, partition: i32) {
        let batches = [0, 1].map(|at| self.batch(at, true));
        if self.write_batches(both, what, version, partition, Some(self.name), batches).await {
            self.sequence += 1;
        }
    }

    /// Whether both took it.
    async fn write_batches(
        &self,
        both: &mut Both,
        what: &str,
        version: i16,
        partition: i32,
        name: Option<&str>,
        batches: [Bytes; 2],
    ) -> bool {
        let requests = batches.map(|batch| {
            let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
            let topic =
                TopicProduceData::default().with_name(topic_name(TOPIC)).with_partition_data(vec![data]);
            ProduceRequest::default()
                .with_transactional_id(name.map(transactional_id))
                .with_acks(-1)
                .with_timeout_ms(10_000)
                .with_topic_data(vec![topic])
        });
        let codes = |response: &ottla_protocol::messages::ProduceResponse| {
            let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
            partitions.map(|partition| partition.error_code).collect::<Vec<_>>()
        };
        let what = format!("Produce v{version} by {}: {what}", self.name);
        let told = both.ask_each(&what, version, requests, codes, |_| ()).await;
        told.iter().all(|told| codes(told).iter().all(|code| *code == 0))
    }

    fn batch(&self, at: usize, transactional: bool) -> Bytes {
        let batch = BatchBuilder::new(Compression::None);
        let batch = batch.with_producer(self.ids[at], self.epoch, self.sequence);
        let mut batch = if transactional { batch.transactional() } else { batch };
        batch.push(now_ms(), None, Some(b"value")).expect("a record");
        batch.build().expect("a batch")
    }

    async fn add(
        &self,
        both: &mut Both,
        what: &str,
        version: i16,
        partitions: &[(&str, i32)],
        verify_only: bool,
    ) {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        partitions.iter().for_each(|(topic, partition)| topics.entry(topic).or_default().push(*partition));
        let topics = topics.into_iter().map(|(topic, partitions)| {
            AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        });
        let topics: Vec<_> = topics.collect();
        let request = |at: usize| {
            if version < 4 {
                return AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(transactional_id(self.name))
                    .with_v3_and_below_producer_id(ProducerId(self.ids[at]))
                    .with_v3_and_below_producer_epoch(self.epoch)
                    .with_v3_and_below_topics(topics.clone());
            }
            let transaction = AddPartitionsToTxnTransaction::default()
                .with_transactional_id(transactional_id(self.name))
                .with_producer_id(ProducerId(self.ids[at]))
                .with_producer_epoch(self.epoch)
                .with_verify_only(verify_only)
                .with_topics(topics.clone());
            AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
        };
        let what = format!("AddPartitionsToTxn v{version} by {}: {what}", self.name);
        both.ask_each(&what, version, [request(0), request(1)], added, |_| ()).await;
    }
}

/// The code of each partition, by topic and partition.
fn added(response: &AddPartitionsToTxnResponse) -> Vec<i16> {
    let batched = response.results_by_transaction.iter().flat_map(|result| &result.topic_results);
    let topics = batched.chain(&response.results_by_topic_v3_and_below);
    let partitions = topics.flat_map(|topic| {
        let of_partition = |partition: &ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnPartitionResult| {
            ((topic.name.to_string(), partition.partition_index), partition.partition_error_code)
        };
        topic.results_by_partition.iter().map(of_partition)
    });
    partitions.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Kafka makes the topic of its coordinator when it is first looked for.
async fn find_coordinator(both: &mut Both) {
    let request =
        || FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![text("any")]);
    let codes = |response: &FindCoordinatorResponse| {
        response.coordinators.iter().map(|coordinator| coordinator.error_code).collect::<Vec<_>>()
    };
    both.ask_each("FindCoordinator of a transactional id", 6, [request(), request()], codes, |_| ()).await;
}

/// Of whom the coordinator knows nothing.
async fn strangers(both: &mut Both) {
    for name in ["nobody", ""] {
        let mut nobody = Producer { name, ids: [7; 2], epoch: 0, sequence: 0 };
        for version in 0..=5 {
            nobody.end(both, "unknown", version, true).await;
            nobody.add(both, "unknown", version, &[(TOPIC, 0)], false).await;
        }
        nobody.add(both, "unknown, verified", 5, &[(TOPIC, 0)], true).await;
        for version in [3, 10, 11, 12] {
            nobody.write(both, "unknown", version, 0).await;
        }
    }
    for timeout_ms in [-1, 0, 900_001, i32::MAX] {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id("timeouts")))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(-1);
        let what = format!("InitProducerId with a timeout of {timeout_ms} ms");
        both.ask(&what, 5, request, |response| (response.error_code, response.producer_epoch)).await;
    }
}

async fn initialise(both: &mut Both) {
    let mut producer = Producer::init(both, "init").await;
    for version in 0..=5 {
        producer.go_on(both, "anew", version, None).await;
    }
    for version in 3..=5 {
        let before = producer.clone();
        producer.go_on(both, "after an error", version, Some(&before)).await;
        producer.go_on(both, "the same again", version, Some(&before)).await;
        producer.go_on(both, "of two epochs before", version, Some(&before.earlier(1))).await;
        producer.go_on(both, "of another id", version, Some(&before.stranger())).await;
        producer.go_on(both, "of a later epoch", version, Some(&before.earlier(-7))).await;
    }
    let mut open = producer.clone();
    open.write(both, "in the one before", 12, 0).await;
    producer.go_on(both, "while a transaction is open", 5, None).await;
    open.write(both, "fenced", 12, 0).await;
    open.end(both, "fenced", 5, true).await;
    producer.write(both, "the new one", 12, 0).await;
    let known = producer.clone();
    producer.go_on(both, "with its own transaction open", 5, Some(&known)).await;
    producer.end(both, "without a transaction", 5, false).await;
}

/// EndTxn v5: `transaction.version` 2.
async fn each_transaction_an_epoch(both: &mut Both) {
    let mut producer = Producer::init(both, "tv2").await;
    producer.end(both, "nothing to commit", 5, true).await;
    producer.end(both, "nothing to abort", 5, false).await;
    for committed in [true, false] {
        producer.write(both, "begins", 12, 0).await;
        let ended = producer.clone();
        ended.stranger().end(both, "of another id", 5, committed).await;
        ended.earlier(-1).end(both, "of a later epoch", 5, committed).await;
        producer.end(both, "an open one", 5, committed).await;
        ended.clone().end(both, "again", 5, committed).await;
        ended.clone().end(both, "again, the other way", 5, !committed).await;
        ended.earlier(1).end(both, "of two epochs before", 5, committed).await;
        producer.clone().end(both, "nothing to commit", 5, true).await;
        producer.end(both, "nothing to abort", 5, false).await;
        producer.write(both, "begins the next", 12, 1).await;
        ended.clone().end(both, "late", 5, committed).await;
        producer.end(both, "the next", 5, true).await;
    }
}

/// EndTxn up to v4.
async fn one_epoch_for_all(both: &mut Both) {
    let mut producer = Producer::init(both, "tv1").await;
    for version in 0..=4 {
        let committed = version % 2 == 0;
        producer.end(both, "nothing", version, committed).await;
        producer.add(both, "begins", version.min(3), &[(TOPIC, 0)], false).await;
        producer.add(both, "again", version.min(3), &[(TOPIC, 0)], false).await;
        producer.write(both, "added", 11, 0).await;
        producer.earlier(1).end(both, "of an earlier epoch", version, committed).await;
        producer.earlier(-1).end(both, "of a later epoch", version, committed).await;
        producer.stranger().end(both, "of another id", version, committed).await;
        producer.end(both, "an open one", version, committed).await;
        producer.end(both, "again", version, committed).await;
        producer.end(both, "again, the other way", version, !committed).await;
    }
}

async fn add_partitions(both: &mut Both) {
    let mut producer = Producer::init(both, "adds").await;
    for version in 0..=5 {
        producer.add(both, "an unknown partition", version, &[(TOPIC, 0), (TOPIC, 9)], false).await;
        producer.add(both, "an unknown topic", version, &[(TOPIC, 0), ("unknown", 0)], false).await;
        producer.add(both, "the broker's own topic", version, &[("__consumer_offsets", 0)], false).await;
        producer.add(both, "two", version, &[(TOPIC, 0), (TOPIC, 1)], false).await;
        producer.earlier(1).add(both, "of an earlier epoch", version, &[(TOPIC, 0)], false).await;
        producer.stranger().add(both, "of another id", version, &[(TOPIC, 0)], false).await;
        if version >= 4 {
            producer.add(both, "verified, one of two", version, &[(TOPIC, 0), (TOPIC, 1)], true).await;
            producer
                .earlier(1)
                .add(both, "verified, of an earlier epoch", version, &[(TOPIC, 0)], true)
                .await;
        }
        producer.end(both, "what was added", 5, false).await;
        if version >= 4 {
            producer.add(both, "verified, without a transaction", version, &[(TOPIC, 0)], true).await;
        }
    }
}

async fn writes(both: &mut Both) {
    let mut producer = Producer::init(both, "writes").await;
    for version in [3, 8, 10, 11] {
        producer.write(both, "not added", version, 0).await;
    }
    producer.write(both, "adds", 12, 0).await;
    producer.write(both, "goes on", 12, 0).await;
    producer.earlier(1).write(both, "of an earlier epoch", 12, 0).await;
    producer.earlier(1).write(both, "of an earlier epoch, elsewhere", 12, 1).await;
    producer.earlier(1).write(both, "of an earlier epoch, elsewhere", 11, 1).await;
    producer.stranger().write(both, "of another id", 12, 0).await;
    let plain = [0, 1].map(|at| producer.batch(at, false));
    producer.write_batches(both, "outside of its transaction", 12, 0, Some("writes"), plain).await;
    let batches = [0, 1].map(|at| producer.batch(at, true));
    producer.write_batches(both, "without its transactional id", 12, 0, None, batches.clone()).await;
    producer.write_batches(both, "with another transactional id", 12, 1, Some("tv2"), batches).await;
    producer.end(both, "what was written", 5, true).await;
    let mut late = Producer { sequence: 5, ..producer.clone() };
    late.write(both, "a first sequence that is not 0", 12, 1).await;
    producer.write(both, "the next transaction", 12, 1).await;
    producer.end(both, "what was written", 5, true).await;
}

async fn descriptions(both: &mut Both) {
    let mut open = Producer::init(both, "describe-open").await;
    open.write(both, "begins", 12, 1).await;
    Producer::init(both, "describe-idle").await;
    for name in ["describe-open", "describe-idle", "nobody", ""] {
        let request =
            DescribeTransactionsRequest::default().with_transactional_ids(vec![transactional_id(name)]);
        both.ask(&format!("DescribeTransactions of {name:?}"), 0, request, |response| {
            let states = response.transaction_states.into_iter().map(|state| {
                let known = (state.transaction_state, state.transaction_timeout_ms, state.producer_epoch);
                (state.error_code, known, state.topics, state.transaction_start_time_ms > 0)
            });
            states.collect::<Vec<_>>()
        })
        .await;
    }
    let of = |pattern: &str| {
        let pattern = Some(text(pattern));
        ListTransactionsRequest::default().with_duration_filter(-1).with_transactional_id_pattern(pattern)
    };
    let states = |names: &[&'static str]| names.iter().map(|name| StrBytes::from_static_str(name)).collect();
    for (what, request) in [
        ("all", of("describe-.*")),
        ("one", of("describe-open")),
        ("a part of an id", of("describe")),
        ("what is open", of("describe-.*").with_state_filters(states(&["Ongoing"]))),
        ("unknown states", of("describe-.*").with_state_filters(states(&["Empty", "Dead", "Busy"]))),
        ("what is open for long", of("describe-open").with_duration_filter(60_000)),
        ("what is open for a moment", of("describe-.*").with_duration_filter(0)),
        ("what is no expression", of("(")),
    ] {
        both.ask(&format!("ListTransactions: {what}"), 2, request, |response| {
            let listed = response.transaction_states.into_iter();
            let listed: BTreeMap<_, _> = listed
                .map(|state| (state.transactional_id.to_string(), state.transaction_state.to_string()))
                .collect();
            (response.error_code, response.unknown_state_filters, listed)
        })
        .await;
    }
    open.end(both, "what was described", 5, false).await;
}

async fn markers(both: &mut Both) {
    let mut producer = Producer::init(both, "markers").await;
    producer.go_on(both, "anew", 5, None).await;
    producer.write(both, "begins", 12, 0).await;
    for (what, epoch, coordinator_epoch, topic, partitions) in [
        ("nowhere", 0, 0, "unknown", vec![0]),
        ("an unknown partition", 0, 0, TOPIC, vec![0, 9]),
        ("the same again", 0, 0, TOPIC, vec![0]),
        ("a later coordinator", 0, 5, TOPIC, vec![0]),
        ("an earlier coordinator", 0, 1, TOPIC, vec![0]),
        ("an earlier epoch", -1, 5, TOPIC, vec![0]),
        ("groups' offsets", 0, 5, "__consumer_offsets", vec![0]),
    ] {
        let request = |at: usize| {
            let topic = WritableTxnMarkerTopic::default()
                .with_name(topic_name(topic))
                .with_partition_indexes(partitions.clone());
            let marker = WritableTxnMarker::default()
                .with_producer_id(ProducerId(producer.ids[at]))
                .with_producer_epoch(producer.epoch + epoch)
                .with_coordinator_epoch(coordinator_epoch)
                .with_topics(vec![topic]);
            WriteTxnMarkersRequest::default().with_markers(vec![marker])
        };
        let codes = |response: &ottla_protocol::messages::WriteTxnMarkersResponse| {
            let topics = response.markers.iter().flat_map(|marker| &marker.topics);
            let partitions = topics.flat_map(|topic| &topic.partitions);
            let codes = partitions.map(|partition| (partition.partition_index, partition.error_code));
            codes.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>()
        };
        both.ask_each(&format!("WriteTxnMarkers: {what}"), 1, [request(0), request(1)], codes, |_| ()).await;
    }
}
