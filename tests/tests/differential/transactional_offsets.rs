//! AddOffsetsToTxn, TxnOffsetCommit, and OffsetFetch with `require_stable`.

use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, OffsetFetchRequest, ProducerId, TxnOffsetCommitRequest,
};

use crate::both::Both;
use crate::groups::group_id;
use crate::topics::TOPIC;
use crate::transactions::{Producer, transactional_id};
use crate::{text, topic_name};

const GROUP: &str = "in-transactions";

pub(crate) async fn ask(both: &mut Both) {
    let mut producer = Producer::init(both, "offsets").await;
    for version in 0..=4 {
        commit(both, &producer, "not added", version, GROUP, TOPIC, 0).await;
        add(both, &producer, "adds", version, GROUP).await;
        commit(both, &producer, "added", version, GROUP, TOPIC, 0).await;
        fetch(both, "while it is open").await;
        producer.end(both, "with offsets", 4, version % 2 == 0).await;
    }
    for committed in [true, false] {
        commit(both, &producer, "adds", 5, GROUP, TOPIC, 0).await;
        commit(both, &producer, "goes on", 5, GROUP, TOPIC, 1).await;
        fetch(both, "while it is open").await;
        producer.end(both, "with offsets", 5, committed).await;
    }
    for version in [3, 5] {
        commit(both, &producer, "of an unknown topic", version, GROUP, "unknown", 0).await;
        commit(both, &producer, "of an unknown partition", version, GROUP, TOPIC, 9).await;
        commit(both, &producer, "without a group", version, "", TOPIC, 0).await;
        let nobody = producer.under("nobody");
        commit(both, &nobody, "without an id", version, GROUP, TOPIC, 0).await;
        let earlier = producer.earlier(1);
        commit(both, &earlier, "of an earlier epoch", version, GROUP, TOPIC, 0).await;
        add(both, &earlier, "of an earlier epoch", version.min(4), GROUP).await;
        add(both, &nobody, "without an id", version.min(4), GROUP).await;
    }
    for (what, group, member_id, generation_id) in [
        ("a group that is not there, of a generation", "not-there", "", 1),
        ("a group that is not there", "not-there-either", "", -1),
        ("by a member of an empty group", GROUP, "nobody", 1),
        ("by a member without a generation", GROUP, "nobody", -1),
    ] {
        let requests = requests(&producer, group, TOPIC, 0);
        let requests =
            requests.map(|request| request.with_member_id(text(member_id)).with_generation_id(generation_id));
        both.ask_each(&format!("TxnOffsetCommit: {what}"), 5, requests, codes, |_| ()).await;
    }
    producer.end(both, "with offsets of several groups", 5, true).await;
    fetch(both, "at last").await;
}

fn codes(response: &ottla_protocol::messages::TxnOffsetCommitResponse) -> Vec<i16> {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

fn requests(producer: &Producer, group: &str, topic: &str, partition: i32) -> [TxnOffsetCommitRequest; 2] {
    [0, 1].map(|at| {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(i64::from(producer.epoch) + 10)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("so far")));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional_id(producer.name))
            .with_group_id(group_id(group))
            .with_producer_id(ProducerId(producer.ids[at]))
            .with_producer_epoch(producer.epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic])
    })
}

async fn commit(
    both: &mut Both,
    producer: &Producer,
    what: &str,
    version: i16,
    group: &str,
    topic: &str,
    partition: i32,
) {
    let requests = requests(producer, group, topic, partition);
    both.ask_each(&format!("TxnOffsetCommit v{version}: {what}"), version, requests, codes, |_| ()).await;
}

async fn add(both: &mut Both, producer: &Producer, what: &str, version: i16, group: &str) {
    let requests = [0, 1].map(|at| {
        AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id(producer.name))
            .with_producer_id(ProducerId(producer.ids[at]))
            .with_producer_epoch(producer.epoch)
            .with_group_id(group_id(group))
    });
    let what = format!("AddOffsetsToTxn v{version}: {what}");
    both.ask_each(&what, version, requests, |response| vec![response.error_code], |_| ()).await;
}

async fn fetch(both: &mut Both, what: &str) {
    for require_stable in [true, false] {
        for topics in [Some(vec![0, 1, 9]), None] {
            let all = topics.is_none();
            let topics = topics.map(|partitions| {
                let topic = OffsetFetchRequestTopics::default().with_name(topic_name(TOPIC));
                vec![topic.with_partition_indexes(partitions)]
            });
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(group_id(GROUP))
                .with_member_epoch(-1)
                .with_topics(topics);
            let request =
                OffsetFetchRequest::default().with_require_stable(require_stable).with_groups(vec![group]);
            let what = format!("OffsetFetch {what}, stable {require_stable}, all {all}");
            both.ask(&what, 9, request, |response| response.groups).await;
        }
    }
}
