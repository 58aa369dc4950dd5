use ottla_protocol::Compression;
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use crate::fixture::{create_topic, produce, start};
use crate::wire::{Wire, topic_name};

async fn describe(wire: &mut Wire, name: &str, partitions: &[i32]) -> DescribeProducersResponse {
    let topic =
        TopicRequest::default().with_name(topic_name(name)).with_partition_indexes(partitions.to_vec());
    wire.call(0, DescribeProducersRequest::default().with_topics(vec![topic])).await
}

#[tokio::test]
async fn the_producers_of_a_partition_are_described() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    assert!(describe(&mut wire, "t", &[0]).await.topics[0].partitions[0].active_producers.is_empty());
    let mut batch = BatchBuilder::new(Compression::None).with_producer(7, 3, 4);
    batch.push(1000, None, Some(b"a")).unwrap();
    batch.push(2000, None, Some(b"b")).unwrap();
    assert_eq!(produce(&mut wire, "t", batch.build().unwrap()).await.error_code, 0);

    let described = describe(&mut wire, "t", &[0]).await;
    let [producer] = &described.topics[0].partitions[0].active_producers[..] else { panic!("{described:?}") };
    assert_eq!((producer.producer_id.0, producer.producer_epoch, producer.last_sequence), (7, 3, 5));
    assert_eq!((producer.last_timestamp, producer.coordinator_epoch), (2000, -1));
    assert_eq!(producer.current_txn_start_offset, -1);
}

#[tokio::test]
async fn a_partition_that_there_is_none_of_has_no_producers() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for (name, partition, error) in [
        ("t", 1, ErrorCode::UnknownTopicOrPartition),
        ("nowhere", 0, ErrorCode::UnknownTopicOrPartition),
        ("a/b", 0, ErrorCode::InvalidTopicException),
    ] {
        let described = describe(&mut wire, name, &[partition]).await;
        assert_eq!(described.topics[0].partitions[0].error_code, error.code(), "{name}-{partition}");
    }
}
