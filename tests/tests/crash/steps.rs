//! What clients do to a broker before it dies.

pub(crate) mod transactions;

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, GroupId, InitProducerIdRequest,
    OffsetCommitRequest, ProduceRequest, ProducerId, TopicName,
};
use ottla_protocol::{Compression, StrBytes};

use crate::life::{Answer, DiskKeeps, FLUSH_INTERVAL, Life};
use crate::model::{
    BatchModel, DoubtfulTopic, Kind, Model, PartitionModel, RETENTION_BYTES, Sequence, TopicModel,
};
use crate::random::Random;

const TOPICS_MAX: usize = 3;
const CODECS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Lz4];

/// Random steps until the broker is dead, or as many as `limit`.
pub(crate) async fn run(life: &mut Life, model: &mut Model, random: &mut Random, limit: usize) {
    for _ in 0..limit {
        let some_is_lost = life.disk_keeps == DiskKeeps::WhatIsSynced;
        match random.below(20) {
            7 | 12 if some_is_lost => flush_what_is_due(life, model).await,
            13..16 if some_is_lost => produce(life, model, random).await,
            0 => create_topic(life, model, random).await,
            1 => delete_topic(life, model, random).await,
            2..5 => commit_offset(life, model, random).await,
            5 => init_producer(life, model).await,
            6 => keep_house(life, model, random).await,
            18 => delete_records(life, model, random).await,
            7 => let_pass(life, Duration::from_millis(random.below(5_000) as u64)).await,
            8..12 => produce_idempotently(life, model, random).await,
            12..16 => transactions::transact(life, model, random).await,
            _ => produce(life, model, random).await,
        }
        if life.is_dead() {
            return;
        }
    }
}

async fn create_topic(life: &mut Life, model: &mut Model, random: &mut Random) {
    let name = format!("topic-{}", random.below(2 * TOPICS_MAX));
    if model.topics.len() >= TOPICS_MAX || model.topics.contains_key(&name) {
        return;
    }
    let partitions = 1 + random.below(2) as i32;
    let kind = *random.choose(&[Kind::Kept, Kind::Retained, Kind::Compacted]).expect("a kind");
    // The largest batch fits.
    let segment_bytes = (1_500 + random.below(3_000)).to_string();
    let mut configs = vec![config("segment.bytes", &segment_bytes)];
    match kind {
        Kind::Kept => {}
        Kind::Retained => configs.push(config("retention.bytes", &RETENTION_BYTES.to_string())),
        Kind::Compacted => {
            configs.push(config("cleanup.policy", "compact"));
            configs.push(config("min.cleanable.dirty.ratio", "0"));
        }
    }
    let topic = CreatableTopic::default()
        .with_name(topic_name(&name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs);
    match life.call(7, CreateTopicsRequest::default().with_topics(vec![topic])).await {
        Answer::Given(response) if response.topics[0].error_code == 0 => {
            let partitions = vec![PartitionModel::default(); partitions as usize];
            model.topics.insert(
                name,
                TopicModel { id: response.topics[0].topic_id, kind, segment_bytes, partitions },
            );
        }
        Answer::Given(response) => life.refused(&format!("topic {name}"), response.topics[0].error_code),
        Answer::Unknown => {
            model.doubtful_topics.insert(name, DoubtfulTopic::Created { partitions, kind, segment_bytes });
        }
    }
}

async fn delete_topic(life: &mut Life, model: &mut Model, random: &mut Random) {
    let names: Vec<String> = model.topics.keys().cloned().collect();
    let Some(name) = random.choose(&names) else { return };
    let request =
        DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(1_000);
    let answer = life.call(5, request).await;
    if let Answer::Given(response) = &answer
        && response.responses[0].error_code != 0
    {
        life.refused(&format!("the deletion of {name}"), response.responses[0].error_code);
        // They go first.
        let offsets = model.offsets.iter_mut().filter(|((_, topic, _), _)| topic == name);
        offsets.for_each(|(_, offset)| offset.may_be_gone = true);
        return;
    }
    let Some(topic) = model.topics.remove(name) else { return };
    let offsets = model.forget_topic(name);
    if let Answer::Unknown = answer {
        model.doubtful_topics.insert(name.clone(), DoubtfulTopic::Deleted { topic, offsets });
    }
}

async fn commit_offset(life: &mut Life, model: &mut Model, random: &mut Random) {
    let partitions = model.partitions();
    let Some((topic, partition)) = random.choose(&partitions) else { return };
    let group = format!("group-{}", random.below(4));
    let offset = random.below(1_000) as i64;
    let committed = OffsetCommitRequestPartition::default()
        .with_partition_index(*partition)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("how far")));
    let committed =
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![committed]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(&group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![committed]);
    let answer = life.call(8, request).await;
    let key = (group, topic.clone(), *partition);
    let known = model.offsets.entry(key.clone()).or_default();
    match answer {
        Answer::Given(response) if response.topics[0].partitions[0].error_code == 0 => {
            known.committed = Some(offset);
        }
        Answer::Given(response) => {
            life.refused("a commit", response.topics[0].partitions[0].error_code);
            return;
        }
        Answer::Unknown => known.doubtful = Some(offset),
    }
    model.offsets_log.unsynced.push((key, Some(offset)));
}

async fn init_producer(life: &mut Life, model: &mut Model) {
    if model.producers.len() >= 4 {
        return;
    }
    let answer = life.call(4, anybody()).await;
    let Answer::Given(response) = answer else { return };
    if response.error_code == 0 {
        let id = response.producer_id.0;
        assert!(model.producer_ids.insert(id), "producer id {id} is given a second time");
        model.producers.push(id);
    } else {
        life.refused("a producer id", response.error_code);
    }
}

fn anybody() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

fn config(name: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
}

/// What is to be on the disk by then is there before anything else happens, so that the seed decides the order.
pub(crate) async fn let_pass(life: &mut Life, time: Duration) {
    life.clock.advance(time);
    life.broker.due_flushes_done().await;
}

/// Lets `flush.ms` pass.
async fn flush_what_is_due(life: &mut Life, model: &mut Model) {
    let_pass(life, FLUSH_INTERVAL).await;
    if !life.is_dead() {
        model.all_is_synced();
    }
}

async fn keep_house(life: &mut Life, model: &mut Model, random: &mut Random) {
    match random.below(3) {
        // A dead or full disk is an error here.
        0 => {
            if life.broker.checkpoint().await.is_ok() {
                model.all_is_synced();
            }
        }
        1 => life.broker.apply_retention().await,
        _ => life.broker.compact().await,
    }
}

async fn delete_records(life: &mut Life, model: &mut Model, random: &mut Random) {
    let partitions = model.uncompacted();
    let Some((topic, partition)) = random.choose(&partitions) else { return };
    let known = model.partition(topic, *partition);
    // Retention may have taken more by itself, so nothing below the end is asked for.
    let offset = known.end_offset() - random.below(3) as i64;
    if offset <= known.start_offset {
        return;
    }
    let below = DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(offset);
    let below = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![below]);
    let request = DeleteRecordsRequest::default().with_topics(vec![below]).with_timeout_ms(1_000);
    match life.call(2, request).await {
        Answer::Given(response) if response.topics[0].partitions[0].error_code == 0 => {
            let low_watermark = response.topics[0].partitions[0].low_watermark;
            assert!(low_watermark >= offset, "{topic}-{partition}: {low_watermark}");
            known.start_offset = low_watermark;
        }
        Answer::Given(response) => {
            life.refused("a deletion of records", response.topics[0].partitions[0].error_code);
            known.doubtful_starts.push(offset);
        }
        Answer::Unknown => known.doubtful_starts.push(offset),
    }
}

async fn produce(life: &mut Life, model: &mut Model, random: &mut Random) {
    let partitions = model.partitions();
    let Some((topic, partition)) = random.choose(&partitions) else { return };
    let values = values(model, random);
    let batch = BatchModel {
        base_offset: model.partition(topic, *partition).end_offset(),
        values,
        producer: None,
        transaction: None,
    };
    send(life, model, topic, *partition, batch, *random.choose(&CODECS).expect("a codec")).await;
}

async fn produce_idempotently(life: &mut Life, model: &mut Model, random: &mut Random) {
    let partitions = model.uncompacted();
    let (Some((topic, partition)), false) = (random.choose(&partitions), model.producers.is_empty()) else {
        return;
    };
    let producer_id = *random.choose(&model.producers).expect("some producer");
    let values = values(model, random);
    let known = model.partition(topic, *partition);
    let base_sequence = known.next_sequence(producer_id);
    let producer = Some(Sequence { producer_id, producer_epoch: 0, base_sequence });
    let batch = BatchModel { base_offset: known.end_offset(), values, producer, transaction: None };
    send(life, model, topic, *partition, batch, Compression::None).await;
}

async fn send(
    life: &mut Life,
    model: &mut Model,
    topic: &str,
    partition: i32,
    batch: BatchModel,
    compression: Compression,
) {
    let bytes = encode(&batch, compression, life.clock.now_ms());
    let answer = life.call(9, produce_request(topic, partition, bytes)).await;
    let known = model.partition(topic, partition);
    match answer {
        Answer::Given(response) => {
            let answer = &response.responses[0].partition_responses[0];
            if answer.error_code != 0 {
                let message = answer.error_message.as_ref().map(ToString::to_string);
                life.refused(&format!("{topic}-{partition}: {batch:?} ({message:?})"), answer.error_code);
                return;
            }
            // Markers lie in between.
            assert!(answer.base_offset >= batch.base_offset, "{topic}-{partition}");
            known.batches.push(BatchModel { base_offset: answer.base_offset, ..batch });
        }
        Answer::Unknown => known.doubtful = Some(batch),
    }
}

pub(crate) fn produce_request(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let data = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data])
}

pub(crate) fn encode(batch: &BatchModel, compression: Compression, now_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    if let Some(Sequence { producer_id, producer_epoch, base_sequence }) = batch.producer {
        builder = builder.with_producer(producer_id, producer_epoch, base_sequence);
    }
    if batch.transaction.is_some() {
        builder = builder.transactional();
    }
    for value in &batch.values {
        // Few keys, for compaction has nothing to do without.
        let key = &value.as_bytes()[5..6];
        builder.push(now_ms, Some(key), Some(value.as_bytes())).expect("small records");
    }
    builder.build().expect("a small batch")
}

/// Some values that were never sent before.
pub(super) fn values(model: &mut Model, random: &mut Random) -> Vec<String> {
    let count = 1 + random.below(3);
    let value = |_| {
        model.values += 1;
        format!("{:06}{}", model.values, "x".repeat(random.below(400)))
    };
    (0..count).map(value).collect()
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
