use ottla_protocol::Compression;
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::ListOffsetsRequest;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;

use crate::fixture::{create_topic, produce, start};
use crate::wire::{Wire, topic_name};

async fn list(wire: &mut Wire, version: i16, topic: &str, timestamp: i64) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let mut response = wire.call(version, ListOffsetsRequest::default().with_topics(vec![topic])).await;
    response.topics.remove(0).partitions.remove(0)
}

#[tokio::test]
async fn offsets_by_time_and_by_name() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let now_ms = ottla_broker::Clock::system().now_ms();
    for first_ms in [now_ms - 3000, now_ms - 1000] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(first_ms, None, Some(b"a")).unwrap();
        builder.push(first_ms + 500, None, Some(b"b")).unwrap();
        produce(&mut wire, "t", builder.build().unwrap()).await;
    }
    for version in 1..=10 {
        for (what, timestamp, offset, found_ms) in [
            ("the end", -1, 4, -1),
            ("the start", -2, 0, -1),
            ("a time between", now_ms - 2600, 1, now_ms - 2500),
            ("a record's own time", now_ms - 1000, 2, now_ms - 1000),
            ("a time before all", 0, 0, now_ms - 3000),
            ("a time after all", now_ms, -1, -1),
        ] {
            let found = list(&mut wire, version, "t", timestamp).await;
            assert_eq!(
                (found.error_code, found.offset, found.timestamp),
                (0, offset, found_ms),
                "{what}, v{version}"
            );
        }
    }
    let largest = list(&mut wire, 7, "t", -3).await;
    assert_eq!((largest.offset, largest.timestamp), (3, now_ms - 500));
    assert_eq!(list(&mut wire, 8, "t", -4).await.offset, 0, "the start of what is local");
    assert_eq!(list(&mut wire, 9, "t", -5).await.offset, -1, "nothing is remote");
}

#[tokio::test]
async fn an_empty_log_has_a_start_an_end_and_no_record() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for (timestamp, offset) in [(-1, 0), (-2, 0), (-3, -1), (0, -1)] {
        assert_eq!(list(&mut wire, 7, "t", timestamp).await.offset, offset, "timestamp {timestamp}");
    }
}

#[tokio::test]
async fn what_cannot_be_found() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let unknown = list(&mut wire, 7, "u", -1).await;
    assert_eq!((unknown.error_code, unknown.offset), (ErrorCode::UnknownTopicOrPartition.code(), -1));
    assert_eq!(list(&mut wire, 6, "t", -3).await.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(list(&mut wire, 10, "t", -99).await.error_code, ErrorCode::UnsupportedVersion.code());
}

#[tokio::test]
async fn a_partition_that_is_named_twice_is_refused_once() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 2).await;
    let topic = |partitions: &[i32]| {
        let partitions = partitions.iter().map(|index| {
            ListOffsetsPartition::default()
                .with_partition_index(*index)
                .with_timestamp(-1)
                .with_current_leader_epoch(-1)
        });
        ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(partitions.collect())
    };
    let request = ListOffsetsRequest::default().with_topics(vec![topic(&[0, 1, 0, 0]), topic(&[0])]);
    for version in 1..=10 {
        let response = wire.call(version, request.clone()).await;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let answers: Vec<_> =
            partitions.map(|answer| (answer.partition_index, answer.error_code, answer.offset)).collect();
        assert_eq!(answers, [(0, ErrorCode::InvalidRequest.code(), -1), (1, 0, 0)], "v{version}");
    }
}
