//! Fetch and ListOffsets.

use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest};
use ottla_tests::timestamp::now_ms;

use crate::both::Both;
use crate::topic_name;
use crate::topics::TOPIC;

pub(crate) async fn ask(both: &mut Both) {
    for (what, request) in [
        ("from the start", one(TOPIC, 0, 0)),
        ("from the middle of a batch", one(TOPIC, 0, 3)),
        ("behind the end", one(TOPIC, 0, 1_000)),
        ("a negative offset", one(TOPIC, 0, -1)),
        ("an unknown topic", one("unknown", 0, 0)),
        ("an unknown partition", one(TOPIC, 9, 0)),
        ("a session that does not exist", one(TOPIC, 0, 0).with_session_id(77).with_session_epoch(1)),
        ("no session at a later epoch", one(TOPIC, 0, 0).with_session_id(0).with_session_epoch(3)),
        ("a later leader epoch", of_epoch(99)),
        ("the current leader epoch", of_epoch(0)),
        ("a negative leader epoch", of_epoch(-2)),
        ("less than a batch", one(TOPIC, 0, 0).with_max_bytes(1)),
    ] {
        for version in [4, 11, 12] {
            fetch(both, what, version, request.clone()).await;
        }
    }
    list_offsets(both).await;
}

async fn fetch(both: &mut Both, what: &str, version: i16, request: FetchRequest) {
    // What an old version cannot say is sent as its default.
    let request = if version < 7 { request.with_session_id(0).with_session_epoch(-1) } else { request };
    both.ask(&format!("Fetch v{version}: {what}"), version, request, |response| {
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let partitions = partitions.map(|partition| {
            let records = partition.records.map_or(0, |records| records.len());
            (partition.error_code, partition.high_watermark, partition.log_start_offset, records)
        });
        (response.error_code, partitions.collect::<Vec<_>>())
    })
    .await;
}

fn one(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn of_epoch(epoch: i32) -> FetchRequest {
    let mut request = one(TOPIC, 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    request
}

async fn list_offsets(both: &mut Both) {
    for (what, topic, timestamp, epoch) in [
        ("the start", TOPIC, -2, -1),
        ("the end", TOPIC, -1, -1),
        ("the local start", TOPIC, -4, -1),
        ("the tiered end", TOPIC, -5, -1),
        ("a special offset that does not exist", TOPIC, -9, -1),
        ("all of time", TOPIC, 0, -1),
        ("the future", TOPIC, now_ms() + 1_000_000_000, -1),
        ("an unknown topic", "unknown", -1, -1),
        ("a later leader epoch", TOPIC, -1, 99),
    ] {
        for version in [1, 5, 7, 9] {
            let partition =
                ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(epoch);
            let topic =
                ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
            let request =
                ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
            both.ask(&format!("ListOffsets v{version}: {what}"), version, request, |response| {
                let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
                partitions
                    .map(|partition| (partition.error_code, partition.offset, partition.leader_epoch))
                    .collect::<Vec<_>>()
            })
            .await;
        }
    }
}
