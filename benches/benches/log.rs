//! A partition's log: a producer's batch appended to the mapped segment, and slices of it read.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_storage::{AppendContext, AppendOrigin, Isolation, Log, LogConfig, TopicPartition};
use tempfile::TempDir;
use uuid::Uuid;

const NOW_MS: i64 = 1_700_000_000_000;
const RECORD_BYTES: usize = 100;
const RECORDS: usize = 600;
/// A log is replaced before it fills the disk of whoever measures.
const APPENDS_MAX: u64 = 2_000;
const FETCH_BYTES: usize = 1 << 20;

const BY_A_PRODUCER: AppendContext =
    AppendContext { leader_epoch: 0, now_ms: NOW_MS, origin: AppendOrigin::Client, verification: None };

struct Fixture {
    log: Log,
    _folder: TempDir,
}

fn empty_log() -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partition = TopicPartition { topic: "bench".to_owned(), partition: 0 };
    let dir = folder.path().join("bench-0");
    let log =
        Log::create(dir, partition, Uuid::from_u128(1), LogConfig::default(), NOW_MS).expect("a new log");
    Fixture { log, _folder: folder }
}

fn batch(compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for at in 0..RECORDS {
        builder.push(NOW_MS, None, Some(&value(at))).expect("600 small records fit a batch");
    }
    builder.build().expect("the batch has records")
}

/// Text that repeats itself about as much as what people log.
fn value(at: usize) -> Vec<u8> {
    let text = format!(
        "{{\"id\":{at},\"user\":\"user-{}\",\"path\":\"/orders/{}\",\"ms\":{}}}",
        at % 97,
        at * 7919 % 1009,
        at * 31 % 57
    );
    let mut value = text.into_bytes();
    value.resize(RECORD_BYTES, b' ');
    value
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Bytes(batch(Compression::None).len() as u64));
    for compression in Compression::ALL {
        let batch = batch(compression);
        group.bench_function(format!("append a batch of 64 KB, compression {compression}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let appends = left.min(APPENDS_MAX);
                    elapsed += time_of_appends(&batch, appends);
                    left -= appends;
                }
                elapsed
            });
        });
    }
    group.finish();
}

fn time_of_appends(batch: &[u8], appends: u64) -> Duration {
    let fixture = empty_log();
    let start = Instant::now();
    for _ in 0..appends {
        fixture.log.append(black_box(batch), &BY_A_PRODUCER).expect("a valid batch");
    }
    start.elapsed()
}

fn read(criterion: &mut Criterion) {
    let fixture = empty_log();
    for _ in 0..APPENDS_MAX {
        fixture.log.append(&batch(Compression::None), &BY_A_PRODUCER).expect("a valid batch");
    }
    let end_offset = fixture.log.end_offset();
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Bytes(FETCH_BYTES as u64));
    group.bench_function("read 1 MiB", |bencher| {
        let mut offset = 0;
        bencher.iter(|| {
            // An odd stride, so that reads begin in the middle of batches and all over the index.
            offset = (offset + 7_919) % end_offset;
            fixture.log.read(black_box(offset), FETCH_BYTES, true, Isolation::ReadUncommitted)
        });
    });
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
