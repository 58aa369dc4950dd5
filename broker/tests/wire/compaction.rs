use bytes::Bytes;
use ottla_broker::{Clock, Config};
use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, batches};
use ottla_protocol::messages::DescribeLogDirsRequest;

use crate::configs::alter;
use crate::fixture::{create_topic, fetch_request, produce, start_with};
use crate::offsets::{commit, committed};
use crate::wire::{Wire, batch};

/// Each batch is a segment, and a compaction is worth it as soon as there is something to compact; the broker's own wait
/// is longer than the test.
fn eager() -> Config {
    let settings = [
        ("log.segment.bytes", "100"),
        ("offsets.topic.segment.bytes", "1000"),
        ("log.cleaner.min.cleanable.ratio", "0"),
        ("log.cleaner.backoff.ms", "3600000"),
    ];
    settings.into_iter().fold(Config::ephemeral(), |config, (name, value)| config.with(name, value).unwrap())
}

fn keyed(key: &str, value: &str) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(Clock::system().now_ms(), Some(key.as_bytes()), Some(value.as_bytes())).unwrap();
    batch.build().unwrap()
}

/// The size of partition 0 of a topic.
pub(crate) async fn size_bytes(wire: &mut Wire, topic: &str) -> i64 {
    let response = wire.call(4, DescribeLogDirsRequest::default().with_topics(None)).await;
    let topic = response.results[0].topics.iter().find(|described| described.name.as_str() == topic);
    topic.unwrap().partitions[0].partition_size
}

/// Offset and value of each record, fetched as a consumer does.
async fn records(wire: &mut Wire, topic: &str, end_offset: i64) -> Vec<(i64, String)> {
    let (mut offset, mut found) = (0, Vec::new());
    while offset < end_offset {
        let response = wire.call(12, fetch_request(topic, offset)).await;
        let fetched = response.responses[0].partitions[0].records.clone().unwrap();
        assert!(!fetched.is_empty(), "a fetch from offset {offset} gets on");
        for batch in batches(&fetched).map(Result::unwrap) {
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                found.push((record.offset, value));
            }
            offset = batch.header().next_offset();
        }
    }
    found
}

#[tokio::test]
async fn the_last_value_of_each_key_is_left_at_its_offset() {
    let (broker, mut wire) = start_with(eager().with("log.cleanup.policy", "compact").unwrap()).await;
    create_topic(&mut wire, "t", 1).await;
    for number in 0..30 {
        let key = if number < 29 { number % 3 } else { 9 };
        produce(&mut wire, "t", keyed(&format!("key {key}"), &format!("value {number}"))).await;
    }
    broker.compact().await;
    let left = records(&mut wire, "t", 30).await;
    let expected = [26, 27, 28, 29].map(|offset| (offset, format!("value {offset}")));
    assert_eq!(left, expected);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_topic_that_becomes_compacted_loses_its_records_without_a_key() {
    let (broker, mut wire) = start_with(eager()).await;
    create_topic(&mut wire, "t", 1).await;
    for _ in 0..10 {
        produce(&mut wire, "t", batch(&["without a key"])).await;
    }
    produce(&mut wire, "t", keyed("key", "first")).await;
    produce(&mut wire, "t", keyed("key", "last")).await;
    assert_eq!(alter(&mut wire, "cleanup.policy", 0, Some("compact")).await, 0);
    broker.compact().await;
    // The segment of the last record is appended to, so that nothing in it counts yet.
    let left = records(&mut wire, "t", 12).await;
    assert_eq!(left, [(10, "first".to_owned()), (11, "last".to_owned())]);
    broker.shutdown().await;
}

#[tokio::test]
async fn committed_offsets_are_read_from_a_compacted_log() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, mut wire) = start_with(eager().with_data_dir(dir.path())).await;
    create_topic(&mut wire, "t", 1).await;
    create_topic(&mut wire, "u", 1).await;
    assert_eq!(commit(&mut wire, "u", 7).await, 0);
    for offset in 0..100 {
        assert_eq!(commit(&mut wire, "t", offset).await, 0);
    }
    let before = size_bytes(&mut wire, "__consumer_offsets").await;
    broker.compact().await;
    assert!(size_bytes(&mut wire, "__consumer_offsets").await < before / 2);
    broker.shutdown().await;

    let (broker, mut wire) = start_with(eager().with_data_dir(dir.path())).await;
    assert_eq!((committed(&mut wire, "t").await, committed(&mut wire, "u").await), (99, 7));
    broker.shutdown().await;
}
