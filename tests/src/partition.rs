//! A whole partition, read through `ottla-client`.

use std::time::Duration;

use ottla_client::{Client, Fetch, FetchPartition, IsolationLevel, OffsetSpec};
use ottla_protocol::compression::Compression;

const MAX_BYTES: i32 = 8 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub offset: i64,
    /// Of the batch that holds it.
    pub compression: Compression,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// Every record from the partition's start to its end.
pub async fn read(client: &Client, topic: &str, partition: i32) -> Vec<StoredRecord> {
    let mut next = offset(client, topic, partition, OffsetSpec::Earliest).await;
    let end = offset(client, topic, partition, OffsetSpec::Latest).await;
    let mut records = Vec::new();
    while next < end {
        records.extend(fetch(client, topic, partition, next).await);
        next = records.last().expect("a fetch below the end brings records").offset + 1;
    }
    records
}

async fn offset(client: &Client, topic: &str, partition: i32, spec: OffsetSpec) -> i64 {
    let listed = client.list_offsets(&[(topic, partition, spec)]).await.expect("the partition is served");
    listed.first().and_then(|listed| listed.offset).expect("a start and an end are always there")
}

async fn fetch(client: &Client, topic: &str, partition: i32, offset: i64) -> Vec<StoredRecord> {
    let wanted = FetchPartition { topic: topic.to_owned(), partition, offset, max_bytes: MAX_BYTES };
    let fetch = Fetch {
        partitions: vec![wanted],
        max_wait: Duration::from_secs(1),
        min_bytes: 1,
        max_bytes: MAX_BYTES,
        isolation_level: IsolationLevel::ReadUncommitted,
    };
    let fetched = client.fetch(&fetch).await.expect("a fetch is answered");
    let partition = fetched.first().expect("the partition is answered");
    assert_eq!(partition.error, None, "{topic}");
    let mut records = Vec::new();
    for batch in partition.batches() {
        let batch = batch.expect("a whole batch");
        batch.verify_crc().expect("the CRC that was sent");
        let compression = batch.header().compression().expect("a codec that Kafka has");
        let decoded = batch.records(MAX_BYTES as usize).expect("records that can be read");
        records.extend(decoded.iter().map(|record| record.expect("a whole record")).map(|record| {
            StoredRecord {
                offset: record.offset,
                compression,
                key: record.key.map(text),
                value: record.value.map(text),
            }
        }));
    }
    records.retain(|record| record.offset >= offset);
    records
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the tests write text")
}
