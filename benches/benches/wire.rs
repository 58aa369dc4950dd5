//! The edges of a request's way: a produce frame taken apart, a fetch response put together.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ottla_protocol::frame::{DEFAULT_MAX_FRAME_BYTES, FrameDecoder};
use ottla_protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla_protocol::messages::{ApiKey, TopicName};
use ottla_protocol::{StrBytes, decode_body, decode_header, encode_request, encode_response};

const BATCH_BYTES: usize = 65536;
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("my-topic"))
}

fn produce_frame() -> Bytes {
    let records = Some(Bytes::from(vec![7; BATCH_BYTES]));
    let partition = PartitionProduceData::default().with_index(0).with_records(records);
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    encode_request(1, Some("bench"), PRODUCE_VERSION, request).expect("a valid request").to_bytes()
}

fn decode_produce(criterion: &mut Criterion) {
    let frame = produce_frame();
    let decoder = FrameDecoder::new(DEFAULT_MAX_FRAME_BYTES);
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("frame and produce request, decoded", |bencher| {
        bencher.iter_batched_ref(
            || BytesMut::from(&frame[..]),
            |received| decode(decoder, black_box(received)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn decode(decoder: FrameDecoder, received: &mut BytesMut) -> ProduceRequest {
    let mut frame = decoder.decode(received).expect("a valid length").expect("a whole frame");
    let header = decode_header(&mut frame).expect("a valid header");
    assert_eq!(header.api_key, ApiKey::Produce);
    decode_body(frame, header.api_version).expect("a valid body")
}

fn encode_fetch(criterion: &mut Criterion) {
    let records = Bytes::from(vec![7; BATCH_BYTES]);
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Bytes(BATCH_BYTES as u64));
    group.bench_function("fetch response, encoded", |bencher| {
        bencher.iter(|| encode_response(1, FETCH_VERSION, fetch_response(black_box(&records))));
    });
    group.finish();
}

fn fetch_response(records: &Bytes) -> FetchResponse {
    let partition = PartitionData::default().with_high_watermark(600).with_records(Some(records.clone()));
    let topic = FetchableTopicResponse::default().with_topic(topic()).with_partitions(vec![partition]);
    FetchResponse::default().with_responses(vec![topic])
}

criterion_group!(benches, decode_produce, encode_fetch);
criterion_main!(benches);
