//! A record batch on its way in: built by a producer, validated by the broker, read by a consumer.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, RecordBatch};

const RECORD_BYTES: usize = 100;
/// As many records of 100 bytes as `batch.size=65536` holds.
const RECORDS: usize = 600;
const TIMESTAMP_MS: i64 = 1_700_000_000_000;
const MAX_BYTES: usize = 1 << 20;

fn values() -> Vec<Vec<u8>> {
    let letter = |index: usize, at: usize| b'A' + ((index * 7 + at * 3) % 26) as u8;
    (0..RECORDS).map(|index| (0..RECORD_BYTES).map(|at| letter(index, at)).collect()).collect()
}

fn batch(compression: Compression, values: &[Vec<u8>]) -> Bytes {
    let mut builder = BatchBuilder::new(compression).with_capacity(RECORDS * RECORD_BYTES);
    for value in values {
        builder.push(TIMESTAMP_MS, None, Some(value)).expect("600 small records fit a batch");
    }
    builder.build().expect("the batch has records")
}

fn build(criterion: &mut Criterion) {
    let values = values();
    let mut group = criterion.benchmark_group("batch/build");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("none", |bencher| bencher.iter(|| batch(Compression::None, black_box(&values))));
    group.finish();
}

fn validate(criterion: &mut Criterion) {
    let bytes = batch(Compression::None, &values());
    let mut group = criterion.benchmark_group("batch/validate");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("crc and records", |bencher| {
        bencher.iter(|| RecordBatch::parse(black_box(&bytes)).map(|(batch, _)| batch.validate(1 << 20)));
    });
    group.bench_function("crc alone", |bencher| {
        bencher.iter(|| RecordBatch::parse(black_box(&bytes)).map(|(batch, _)| batch.verify_crc()));
    });
    group.finish();
}

fn iterate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch/iterate");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for compression in
        [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Gzip, Compression::Zstd]
    {
        let bytes = batch(compression, &values());
        group.bench_function(format!("{compression:?}").to_lowercase(), |bencher| {
            bencher.iter(|| value_bytes(black_box(&bytes)));
        });
    }
    group.finish();
}

fn value_bytes(bytes: &[u8]) -> usize {
    let (batch, _) = RecordBatch::parse(bytes).expect("the builder's batch");
    let records = batch.records(MAX_BYTES).expect("a batch within the limit");
    let values = records.iter().filter_map(|record| record.expect("the builder's record").value);
    values.map(<[u8]>::len).sum()
}

criterion_group!(benches, build, validate, iterate);
criterion_main!(benches);
