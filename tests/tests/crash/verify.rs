//! After a crash: what was promised is there, and what was not answered is there whole or not at all.

use std::collections::BTreeMap;

use ottla_protocol::batch::batches;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::{
    DescribeConfigsRequest, FetchRequest, GroupId, MetadataRequest, OffsetFetchRequest,
};
use ottla_protocol::{Compression, Request};

use crate::life::{Answer, Life};
use crate::model::{BatchModel, DoubtfulTopic, Model, OffsetModel, PartitionModel, TopicModel};
use crate::steps::{encode, produce_request, text, topic_name};

/// What a broker recognises of each producer (KIP-98).
const REMEMBERED_BATCHES: usize = 5;
const MAX_BYTES: i32 = 1 << 20;

/// Compares, and takes what was in doubt for what it turned out to be.
///
/// # Panics
/// When a promise is broken.
pub(crate) async fn run(life: &mut Life, model: &mut Model) {
    topics(life, model).await;
    for (topic, partition) in model.partitions() {
        records(life, model, &topic, partition).await;
        repeats(life, model, &topic, partition).await;
    }
    offsets(life, model).await;
}

async fn topics(life: &mut Life, model: &mut Model) {
    let response = call(life, 12, MetadataRequest::default().with_topics(None)).await;
    let mut there: BTreeMap<String, MetadataResponseTopic> = response
        .topics
        .into_iter()
        .filter(|topic| !topic.is_internal)
        .map(|topic| (topic.name.as_ref().expect("a name").to_string(), topic))
        .collect();
    for (name, topic) in &model.topics {
        let found = there.remove(name).unwrap_or_else(|| panic!("topic {name} is gone"));
        assert_eq!(found.topic_id, topic.id, "{name}");
        assert_eq!(found.partitions.len(), topic.partitions.len(), "{name}");
    }
    for (name, doubtful) in std::mem::take(&mut model.doubtful_topics) {
        let Some(found) = there.remove(&name) else { continue };
        let topic = match doubtful {
            DoubtfulTopic::Created { partitions, segment_bytes } => {
                let partitions = vec![PartitionModel::default(); partitions as usize];
                TopicModel { id: found.topic_id, segment_bytes, partitions }
            }
            DoubtfulTopic::Deleted { topic, offsets } => {
                model.offsets.extend(offsets);
                topic
            }
        };
        assert_eq!(found.topic_id, topic.id, "{name}");
        assert_eq!(found.partitions.len(), topic.partitions.len(), "{name}");
        model.topics.insert(name, topic);
    }
    for (name, topic) in &model.topics {
        let response = call(life, 2, describe_segment_bytes(name)).await;
        let value = response.results[0].configs[0].value.as_ref().map(ToString::to_string);
        assert_eq!(value.as_deref(), Some(&*topic.segment_bytes), "{name}");
    }
    assert!(there.is_empty(), "topics that nobody made: {:?}", there.keys());
}

fn describe_segment_bytes(topic: &str) -> DescribeConfigsRequest {
    const TOPIC: i8 = 2;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(vec![text("segment.bytes")]));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

async fn records(life: &mut Life, model: &mut Model, topic: &str, partition: i32) {
    let found = read(life, topic, partition).await;
    let known = model.partition(topic, partition);
    let promised = known.records().count();
    if let Some(doubtful) = known.doubtful.take() {
        let is_there = found.len() > promised;
        match doubtful.producer {
            None if is_there => known.batches.push(doubtful),
            None => {}
            // Its producer sends it again, whatever became of it.
            Some(_) => {
                let base_offset = resend(life, topic, partition, &doubtful).await;
                assert_eq!(base_offset, Ok(doubtful.base_offset), "{topic}-{partition}");
                known.batches.push(doubtful);
            }
        }
    }
    let found =
        if found.len() == known.records().count() { found } else { read(life, topic, partition).await };
    let promised: Vec<(i64, String)> =
        known.records().map(|(offset, value)| (offset, value.to_owned())).collect();
    let differs = found.iter().zip(&promised).position(|(found, promised)| found != promised);
    assert!(
        found == promised,
        "{topic}-{partition}: {} records, {} were promised, the first that differs is {differs:?}: {:?}",
        found.len(),
        promised.len(),
        differs.map(|at| (&found[at], &promised[at]))
    );
}

/// What a producer sends a second time is recognised, where it was written.
async fn repeats(life: &mut Life, model: &mut Model, topic: &str, partition: i32) {
    let known = model.partition(topic, partition).clone();
    let ids: std::collections::BTreeSet<i64> = known
        .batches
        .iter()
        .filter_map(|batch| batch.producer)
        .map(|sequence| sequence.producer_id)
        .collect();
    for id in ids {
        let sent = known.batches.iter().filter(|batch| batch.producer.is_some_and(|by| by.producer_id == id));
        for batch in sent.rev().take(REMEMBERED_BATCHES) {
            let base_offset = resend(life, topic, partition, batch).await;
            assert_eq!(base_offset, Ok(batch.base_offset), "{topic}-{partition}, {:?}", batch.producer);
        }
    }
}

async fn resend(life: &mut Life, topic: &str, partition: i32, batch: &BatchModel) -> Result<i64, i16> {
    let bytes = encode(batch, Compression::None, life.clock.now_ms());
    let response = call(life, 9, produce_request(topic, partition, bytes)).await;
    let answer = &response.responses[0].partition_responses[0];
    if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) }
}

/// Every record, with its offset.
async fn read(life: &mut Life, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let from = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(next)
            .with_partition_max_bytes(MAX_BYTES);
        let from = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![from]);
        let request =
            FetchRequest::default().with_session_epoch(-1).with_max_bytes(MAX_BYTES).with_topics(vec![from]);
        let response = call(life, 12, request).await;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{topic}-{partition} at {next}");
        let records = answer.records.clone().unwrap_or_default();
        if records.is_empty() {
            assert_eq!(next, answer.high_watermark, "{topic}-{partition}: a read ends before the end");
            return found;
        }
        for batch in batches(&records) {
            let batch = batch.expect("a whole batch");
            batch.verify_crc().expect("a sound batch");
            next = batch.header().next_offset();
            for record in batch.records(MAX_BYTES as usize).expect("records").iter() {
                let record = record.expect("a record");
                let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
                found.push((record.offset, value));
            }
        }
    }
}

async fn offsets(life: &mut Life, model: &mut Model) {
    for ((group, topic, partition), known) in &mut model.offsets {
        let wanted = OffsetFetchRequestTopics::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![*partition]);
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![wanted]));
        let response = call(life, 8, OffsetFetchRequest::default().with_groups(vec![wanted])).await;
        let answer = &response.groups[0].topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        let found = Some(answer.committed_offset).filter(|&offset| offset >= 0);
        let OffsetModel { committed, doubtful } = *known;
        assert!(
            found == committed || doubtful.is_some() && found == doubtful,
            "group {group} has {found:?} of {topic}-{partition}, not {committed:?}, perhaps {doubtful:?}"
        );
        *known = OffsetModel { committed: found, doubtful: None };
    }
}

async fn call<R: Request>(life: &mut Life, version: i16, request: R) -> R::Response {
    match life.call(version, request).await {
        Answer::Given(response) => response,
        Answer::Unknown => panic!("the broker died without a reason: {}", life.operations()),
    }
}
