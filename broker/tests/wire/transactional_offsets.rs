//! Offsets that a producer commits as a part of its transaction.

use ottla_broker::Config;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, OffsetFetchRequest, ProducerId, TxnOffsetCommitRequest,
};

use crate::fixture::{create_topic, start, start_with};
use crate::groups::{group_id, stable_group};
use crate::offsets::commit;
use crate::transactional_producer::{TransactionalProducer, transactional_id};
use crate::wire::{Wire, text, topic_name};

const OK: i16 = 0;
const NO_OFFSET: i64 = -1;

fn commit_request(producer: &TransactionalProducer, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(text("")));
    let topic =
        TxnOffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id(&producer.name))
        .with_group_id(group_id("g"))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic])
}

async fn commit_in(wire: &mut Wire, version: i16, request: TxnOffsetCommitRequest) -> i16 {
    wire.call(version, request).await.topics[0].partitions[0].error_code
}

/// The offset of partition 0, or the error in its place.
async fn fetch(wire: &mut Wire, require_stable: bool) -> Result<i64, i16> {
    let topics =
        OffsetFetchRequestTopics::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("g"))
        .with_member_epoch(-1)
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default().with_require_stable(require_stable).with_groups(vec![group]);
    let answer = wire.call(9, request).await;
    let partition = &answer.groups[0].topics[0].partitions[0];
    if partition.error_code == OK { Ok(partition.committed_offset) } else { Err(partition.error_code) }
}

#[tokio::test]
async fn offsets_count_when_their_transaction_is_committed() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    let unstable = Err(ErrorCode::UnstableOffsetCommit.code());
    for (committed, offset, expected) in [(false, 5, NO_OFFSET), (true, 6, 6), (false, 7, 6), (true, 8, 8)] {
        let before = fetch(&mut wire, true).await;
        assert_eq!(commit_in(&mut wire, 5, commit_request(&producer, offset)).await, OK);
        assert_eq!(fetch(&mut wire, true).await, unstable);
        assert_eq!(fetch(&mut wire, false).await, before);
        assert_eq!(producer.end(&mut wire, committed).await, OK);
        assert_eq!(fetch(&mut wire, true).await, Ok(expected));
    }
}

#[tokio::test]
async fn a_client_from_before_kip_890_adds_the_groups_offsets_first() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    for version in 0..=4 {
        let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
        let offset = i64::from(version) + 1;
        let missing = if version < 4 { ErrorCode::InvalidTxnState } else { ErrorCode::TransactionAbortable };
        let refused = commit_in(&mut wire, version, commit_request(&producer, offset)).await;
        assert_eq!(refused, missing.code(), "TxnOffsetCommit v{version}");
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id("tx"))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_group_id(group_id("g"));
        assert_eq!(wire.call(version, add).await.error_code, OK, "AddOffsetsToTxn v{version}");
        let code = commit_in(&mut wire, version, commit_request(&producer, offset)).await;
        assert_eq!(code, OK, "TxnOffsetCommit v{version}");
        assert_eq!(producer.end(&mut wire, true).await, OK);
        assert_eq!(fetch(&mut wire, true).await, Ok(offset));
    }
}

#[tokio::test]
async fn a_member_that_is_not_in_the_group_any_more_commits_nothing() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let producer = TransactionalProducer::init(&mut wire, "tx").await;
    let joined = stable_group(&mut wire, "g").await;
    let of = |member_id: &str, generation_id: i32| {
        commit_request(&producer, 1).with_member_id(text(member_id)).with_generation_id(generation_id)
    };
    for (request, expected) in [
        (of("stranger", joined.generation_id), ErrorCode::UnknownMemberId.code()),
        (of(&joined.member_id, joined.generation_id + 1), ErrorCode::IllegalGeneration.code()),
        (
            of(&joined.member_id, joined.generation_id).with_group_instance_id(Some(text("i"))),
            ErrorCode::UnknownMemberId.code(),
        ),
        (of(&joined.member_id, joined.generation_id), OK),
        (of("", -1), OK),
        (of("", 1).with_group_id(group_id("nobody")), ErrorCode::IllegalGeneration.code()),
        (of("", -1).with_group_id(group_id("")), ErrorCode::InvalidGroupId.code()),
    ] {
        let what = format!("{request:?}");
        assert_eq!(commit_in(&mut wire, 5, request).await, expected, "{what}");
    }
}

#[tokio::test]
async fn of_two_commits_the_later_in_the_log_counts() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    commit_in(&mut wire, 5, commit_request(&producer, 5)).await;
    assert_eq!(commit(&mut wire, "t", 9).await, OK);
    producer.end(&mut wire, true).await;
    assert_eq!(fetch(&mut wire, true).await, Ok(9));
    commit_in(&mut wire, 5, commit_request(&producer, 10)).await;
    producer.end(&mut wire, true).await;
    assert_eq!(fetch(&mut wire, true).await, Ok(10));
}

#[tokio::test]
async fn a_transaction_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let in_dir = || Config::ephemeral().with_data_dir(dir.path());
    let (broker, mut wire) = start_with(in_dir()).await;
    create_topic(&mut wire, "t", 1).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    commit_in(&mut wire, 5, commit_request(&producer, 5)).await;
    drop(broker);

    let (broker, mut wire) = start_with(in_dir()).await;
    assert_eq!(fetch(&mut wire, true).await, Err(ErrorCode::UnstableOffsetCommit.code()));
    assert_eq!(producer.write(&mut wire, "t", &["b"]).await, OK);
    assert_eq!(producer.end(&mut wire, true).await, OK);
    assert_eq!(fetch(&mut wire, true).await, Ok(5));
    drop(broker);

    let (_broker, mut wire) = start_with(in_dir()).await;
    assert_eq!(fetch(&mut wire, true).await, Ok(5));
    assert_eq!(producer.write(&mut wire, "t", &["c"]).await, OK, "the epoch is remembered");
}

#[tokio::test]
async fn a_topic_that_goes_takes_its_part_of_the_transaction_along() {
    let (_broker, mut wire) = start().await;
    create_topic(&mut wire, "t", 1).await;
    create_topic(&mut wire, "u", 1).await;
    let mut producer = TransactionalProducer::init(&mut wire, "tx").await;
    producer.write(&mut wire, "t", &["a"]).await;
    producer.write(&mut wire, "u", &["a"]).await;
    commit_in(&mut wire, 5, commit_request(&producer, 5)).await;
    crate::admin::delete_topic(&mut wire, "t").await;
    assert_eq!(fetch(&mut wire, true).await, Ok(NO_OFFSET));
    assert_eq!(producer.end(&mut wire, true).await, OK);
    assert_eq!(fetch(&mut wire, true).await, Ok(NO_OFFSET));
    assert_eq!(producer.write(&mut wire, "u", &["b"]).await, OK);
}
