//! Produce and InitProducerId.

use bytes::{Bytes, BytesMut};
use ottla_protocol::batch::{BatchBuilder, set_base_offset};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId, TransactionalId};
use ottla_protocol::{Compression, NO_PRODUCER_ID};
use ottla_tests::timestamp::now_ms;

use crate::both::Both;
use crate::topics::TOPIC;
use crate::{text, topic_name};

const HOUR_MS: i64 = 3_600_000;

pub(crate) async fn ask(both: &mut Both) {
    for version in [3, 7, 9, 12] {
        produce(both, "a batch", version, request(TOPIC, 0, sound())).await;
    }
    for (what, request) in [
        ("an unknown topic", request("unknown", 0, sound())),
        ("an unknown partition", request(TOPIC, 9, sound())),
        ("a negative partition", request(TOPIC, -1, sound())),
        ("acks=2", request(TOPIC, 0, sound()).with_acks(2)),
        ("acks=-2", request(TOPIC, 0, sound()).with_acks(-2)),
        ("no topics", ProduceRequest::default().with_transactional_id(None).with_acks(1)),
    ] {
        produce(both, what, 9, request).await;
    }
    for (what, records) in batches() {
        produce(both, what, 9, request(TOPIC, 0, records)).await;
    }
    produce(both, "a batch after all", 9, request(TOPIC, 0, sound())).await;
    idempotence(both).await;
    init_producer_id(both).await;
}

/// A batch of two records.
pub(crate) fn sound() -> Bytes {
    build(BatchBuilder::new(Compression::None), &[now_ms(), now_ms()])
}

fn build(mut batch: BatchBuilder, timestamps: &[i64]) -> Bytes {
    for timestamp in timestamps {
        batch.push(*timestamp, Some(b"key"), Some(b"value")).expect("small records");
    }
    batch.build().expect("a batch of small records")
}

/// What a client may send instead of one sound batch. Left out is what Kafka answers with UNKNOWN_SERVER_ERROR, such as
/// gzip that is damaged, which Ottla answers with INVALID_RECORD.
fn batches() -> Vec<(&'static str, Bytes)> {
    let none = || BatchBuilder::new(Compression::None);
    let mut numbered = BytesMut::from(&sound()[..]);
    set_base_offset(&mut numbered, 5);
    vec![
        ("no batch", Bytes::new()),
        ("two batches", [sound(), sound()].concat().into()),
        ("half a batch behind a batch", [sound(), sound().slice(..sound().len() / 2)].concat().into()),
        ("half a header behind a batch", [&sound()[..], &sound()[..30]].concat().into()),
        ("five bytes behind a batch", [&sound()[..], &[7; 5]].concat().into()),
        ("zeros behind a batch", [&sound()[..], &[0; 40]].concat().into()),
        ("magic 3 behind a batch", [sound(), patched(16, &[3])].concat().into()),
        ("half a batch", sound().slice(..sound().len() / 2)),
        ("half a header", sound().slice(..30)),
        ("a wrong CRC", patched(17, &[0, 0, 0, 0])),
        ("magic 0", patched(16, &[0])),
        ("magic 1", patched(16, &[1])),
        ("magic 3", patched(16, &[3])),
        ("a length beyond the end", patched(8, &[0, 0, 127, 127])),
        ("a negative length", patched(8, &[255, 255, 255, 255])),
        ("a base offset of the client's own", numbered.freeze()),
        ("a count that is too large", resealed(57, &[0, 0, 0, 3])),
        ("a negative count", resealed(57, &[255, 255, 255, 255])),
        ("a last offset that is too large", resealed(23, &[0, 0, 0, 9])),
        ("a control batch", build(none().control(), &[now_ms()])),
        ("a transactional batch", build(none().transactional(), &[now_ms()])),
        ("a record of tomorrow", build(none(), &[now_ms() + 24 * HOUR_MS])),
        ("a record of last year", build(none(), &[now_ms() - 365 * 24 * HOUR_MS])),
        ("a record without a timestamp", build(none(), &[-1])),
        ("records in zstd", build(BatchBuilder::new(Compression::Zstd), &[now_ms()])),
        ("records in gzip", in_gzip(2)),
        ("more records in gzip than are counted", in_gzip(1)),
        ("fewer records in gzip than are counted", in_gzip(3)),
    ]
}

/// Two records in gzip, counted otherwise.
fn in_gzip(count: u8) -> Bytes {
    let batch = build(BatchBuilder::new(Compression::Gzip), &[now_ms(), now_ms()]);
    let mut batch = BytesMut::from(&batch[..]);
    (batch[26], batch[60]) = (count - 1, count);
    seal(batch)
}

/// A sound batch with other bytes at a place.
fn patched(at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&sound()[..]);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch.freeze()
}

/// The same, with a CRC that says so.
fn resealed(at: usize, bytes: &[u8]) -> Bytes {
    seal(BytesMut::from(&patched(at, bytes)[..]))
}

fn seal(mut batch: BytesMut) -> Bytes {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// Producer ids that the broker has not given out are taken as they are, which makes both comparable.
async fn idempotence(both: &mut Both) {
    let batch = |epoch, sequence| {
        let producer = BatchBuilder::new(Compression::None).with_producer(424_242, epoch, sequence);
        request(TOPIC, 1, build(producer, &[now_ms(), now_ms()]))
    };
    for (what, epoch, sequence) in [
        ("the first sequence", 0, 0),
        ("the next", 0, 2),
        ("the same again", 0, 2),
        ("the one before", 0, 0),
        ("a gap", 0, 6),
        ("half of what was written", 0, 3),
        ("a new epoch in the middle", 1, 4),
        ("a new epoch", 1, 0),
        ("the old epoch", 0, 4),
        ("the new epoch goes on", 1, 2),
        ("a negative sequence", 1, -1),
    ] {
        produce(both, &format!("idempotence, {what}"), 9, batch(epoch, sequence)).await;
    }
}

async fn produce(both: &mut Both, what: &str, version: i16, request: ProduceRequest) {
    both.ask(&format!("Produce v{version}: {what}"), version, request, |response| {
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
        partitions.map(|partition| (partition.error_code, partition.base_offset)).collect::<Vec<_>>()
    })
    .await;
}

fn request(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic])
}

async fn init_producer_id(both: &mut Both) {
    let plain =
        InitProducerIdRequest::default().with_producer_id(ProducerId(NO_PRODUCER_ID)).with_producer_epoch(-1);
    let plain = plain.with_transaction_timeout_ms(60_000).with_transactional_id(None);
    for (what, request) in [
        ("without a transactional id", plain.clone()),
        (
            "with an empty transactional id",
            plain.clone().with_transactional_id(Some(TransactionalId(text("")))),
        ),
        ("with an epoch but no id", plain.with_producer_epoch(3)),
    ] {
        both.ask(&format!("InitProducerId: {what}"), 4, request, |response| {
            (response.error_code, response.producer_epoch, response.producer_id.0 >= 0)
        })
        .await;
    }
}
