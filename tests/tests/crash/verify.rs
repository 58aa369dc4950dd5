//! After a crash: what was promised is there, and what was not answered is there whole or not at all.

mod losses;

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::batch::{RecordBatch, batches};
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::{
    DescribeConfigsRequest, FetchRequest, GroupId, ListOffsetsRequest, MetadataRequest, OffsetFetchRequest,
};
use ottla_protocol::{Compression, Request};

use crate::life::{Answer, DiskKeeps, Life};
use crate::model::{
    BatchModel, DoubtfulTopic, Kind, Model, OffsetKey, OffsetModel, Outcome, PartitionModel, RETENTION_BYTES,
    TopicModel,
};
use crate::steps::transactions::{conclude, init};
use crate::steps::{encode, produce_request, text, topic_name};

/// What a broker recognises of each producer (KIP-98).
const REMEMBERED_BATCHES: usize = 5;
const MAX_BYTES: i32 = 1 << 20;
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

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
    match life.disk_keeps {
        DiskKeeps::Everything => {
            transactions(life, model).await;
            offsets(life, model).await;
        }
        DiskKeeps::WhatIsSynced => losses::offsets(life, model).await,
    }
    // The next life begins with what this one has found.
    model.all_is_synced();
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
            DoubtfulTopic::Created { partitions, kind, segment_bytes } => {
                let partitions = vec![PartitionModel::default(); partitions as usize];
                TopicModel { id: found.topic_id, kind, segment_bytes, partitions }
            }
            DoubtfulTopic::Deleted { topic, offsets } => {
                let restored = offsets.into_iter();
                model
                    .offsets
                    .extend(restored.map(|(key, offset)| (key, OffsetModel { may_be_gone: true, ..offset })));
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
    let kind = model.topics[topic].kind;
    start(life, model, topic, partition, kind).await;
    if life.disk_keeps == DiskKeeps::WhatIsSynced {
        losses::records(life, model, topic, partition).await;
    }
    let known = model.partition(topic, partition);
    let from = known.start_offset;
    let found = read(life, topic, partition, from, READ_UNCOMMITTED, kind).await;
    if let Some(doubtful) = known.doubtful.take() {
        match found.iter().find(|(_, value)| *value == doubtful.values[0]) {
            Some(&(base_offset, _)) => known.batches.push(BatchModel { base_offset, ..doubtful }),
            // Its producer sends it again, in order to know.
            None if doubtful.producer.is_some() && doubtful.transaction.is_none() => {
                let resent = resend(life, topic, partition, &doubtful).await;
                let base_offset = resent.expect("what a producer did not get an answer to");
                known.batches.push(BatchModel { base_offset, ..doubtful });
            }
            None => {}
        }
    }
    let found = read(life, topic, partition, from, READ_UNCOMMITTED, kind).await;
    let promised: Vec<(i64, String)> =
        known.records().map(|(offset, value)| (offset, value.to_owned())).collect();
    let promised = if kind == Kind::Compacted { compacted(&promised, &found) } else { promised };
    compare(&format!("{topic}-{partition}"), &found, &promised);
}

/// Of what was promised, what compaction may have left: the last record of each key must be there, others may.
fn compacted(promised: &[(i64, String)], found: &[(i64, String)]) -> Vec<(i64, String)> {
    let key = |value: &str| value.as_bytes()[5];
    let last: BTreeMap<u8, i64> = promised.iter().map(|(offset, value)| (key(value), *offset)).collect();
    let is_left = |(offset, value): &&(i64, String)| {
        last[&key(value)] == *offset || found.binary_search_by_key(offset, |(found, _)| *found).is_ok()
    };
    promised.iter().filter(is_left).cloned().collect()
}

/// Where the log begins, which is where it was told to, or as far as retention may go.
async fn start(life: &mut Life, model: &mut Model, topic: &str, partition: i32, kind: Kind) {
    let found = list_offset(life, topic, partition, EARLIEST).await;
    let known = model.partition(topic, partition);
    let start_offset = known.start_offset;
    let doubtful = std::mem::take(&mut known.doubtful_starts);
    // A segment that was dropped takes the start to its end, short of where it was to go.
    let may_be_at = start_offset..=doubtful.iter().copied().max().unwrap_or(start_offset);
    if !may_be_at.contains(&found) {
        assert!(
            kind == Kind::Retained && found > start_offset,
            "{topic}-{partition} begins at {found}, not at {start_offset}, perhaps {doubtful:?}"
        );
        let kept = known.batches.iter().filter(|batch| batch.base_offset >= found);
        let kept_bytes: usize = kept.map(|batch| encode(batch, Compression::None, 0).len()).sum();
        // Markers and a batch in doubt count, too.
        assert!(
            kept_bytes + 1_500 >= RETENTION_BYTES,
            "{topic}-{partition}: only {kept_bytes} bytes are left"
        );
    }
    known.start_offset = found;
}

async fn list_offset(life: &mut Life, topic: &str, partition: i32, timestamp: i64) -> i64 {
    let asked = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp)
        .with_current_leader_epoch(-1);
    let asked = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
    let response = call(life, 7, ListOffsetsRequest::default().with_topics(vec![asked])).await;
    response.topics[0].partitions[0].offset
}

fn compare(what: &str, found: &[(i64, String)], promised: &[(i64, String)]) {
    let differs = found.iter().zip(promised).position(|(found, promised)| found != promised);
    assert!(
        found == promised,
        "{what}: {} records, {} were promised, the first that differs is {differs:?}: {:?}",
        found.len(),
        promised.len(),
        differs.map(|at| (&found[at], &promised[at]))
    );
}

/// Each producer comes back, which decides what it left open; then a transaction counts as a whole or not at all.
async fn transactions(life: &mut Life, model: &mut Model) {
    for producer in &mut model.transactional {
        let identity = init(life, &producer.id).await;
        producer.identity = Some(identity.unwrap_or_else(|error| panic!("{} gets {error:?}", producer.id)));
    }
    let mut committed = BTreeMap::new();
    for (topic, partition) in model.partitions() {
        let from = model.partition(&topic, partition).start_offset;
        let kind = model.topics[&topic].kind;
        let found = read(life, &topic, partition, from, READ_COMMITTED, kind).await;
        committed.insert((topic, partition), found);
    }
    decide(life, model, &committed).await;
    for ((topic, partition), found) in &committed {
        let transactions = model.transactions.clone();
        if model.topics[topic].kind == Kind::Compacted {
            continue;
        }
        let counts = |batch: &&BatchModel| {
            batch.transaction.is_none_or(|number| transactions[number].outcome == Outcome::Committed)
        };
        let known = model.partition(topic, *partition);
        let records = known
            .batches
            .iter()
            .filter(counts)
            .flat_map(|batch| (batch.base_offset..).zip(batch.values.iter().cloned()));
        let promised: Vec<_> = records.filter(|(offset, _)| *offset >= known.start_offset).collect();
        compare(&format!("{topic}-{partition}, read_committed"), found, &promised);
    }
}

type Committed = BTreeMap<(String, i32), Vec<(i64, String)>>;

/// Finds out by one record, or one offset, what became of the transactions that are in doubt.
async fn decide(life: &mut Life, model: &mut Model, committed: &Committed) {
    for number in 0..model.transactions.len() {
        if model.transactions[number].outcome != Outcome::Doubtful {
            continue;
        }
        let mut is_committed = None;
        for (topic, partition) in model.partitions() {
            let known = model.partition(&topic, partition);
            let mut readable = known.batches.iter().filter(|batch| batch.base_offset >= known.start_offset);
            if let Some(batch) = readable.find(|batch| batch.transaction == Some(number)) {
                let found = &committed[&(topic, partition)];
                is_committed = Some(found.iter().any(|(_, value)| *value == batch.values[0]));
            }
        }
        if is_committed.is_none()
            && let Some((key, offset)) = model.transactions[number].offsets.first().cloned()
            && model.topics.contains_key(&key.1)
        {
            is_committed = Some(committed_offset(life, &key).await == Some(offset));
        }
        model.transactions[number].outcome = Outcome::Aborted;
        if is_committed == Some(true) {
            conclude(model, number);
        }
    }
}

/// What a producer sends a second time is recognised, where it was written.
async fn repeats(life: &mut Life, model: &mut Model, topic: &str, partition: i32) {
    if model.topics[topic].kind == Kind::Compacted {
        return;
    }
    let known = model.partition(topic, partition).clone();
    let ids: BTreeSet<i64> = known
        .batches
        .iter()
        .filter_map(|batch| batch.producer)
        .map(|sequence| sequence.producer_id)
        .collect();
    for id in ids {
        let sent =
            idempotent(&known.batches).filter(|batch| batch.producer.is_some_and(|by| by.producer_id == id));
        let sent: Vec<_> = sent.filter(|batch| batch.base_offset >= known.start_offset).collect();
        for batch in sent.into_iter().rev().take(REMEMBERED_BATCHES) {
            let base_offset = resend(life, topic, partition, batch).await;
            assert_eq!(base_offset, Ok(batch.base_offset), "{topic}-{partition}, {:?}", batch.producer);
        }
    }
}

fn idempotent(batches: &[BatchModel]) -> impl Iterator<Item = &BatchModel> {
    batches.iter().filter(|batch| batch.transaction.is_none() && batch.producer.is_some())
}

async fn resend(life: &mut Life, topic: &str, partition: i32, batch: &BatchModel) -> Result<i64, i16> {
    let bytes = encode(batch, Compression::None, life.clock.now_ms());
    let response = call(life, 9, produce_request(topic, partition, bytes)).await;
    let answer = &response.responses[0].partition_responses[0];
    if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) }
}

/// Every record that a consumer gets, with its offset.
///
/// # Panics
/// When an offset is missing, or something is not decided.
async fn read(
    life: &mut Life,
    topic: &str,
    partition: i32,
    from: i64,
    isolation: i8,
    kind: Kind,
) -> Vec<(i64, String)> {
    let may_have_gaps = kind == Kind::Compacted;
    let mut consumer = Consumer { from, next: from, may_have_gaps, ..Consumer::default() };
    loop {
        let request = fetch_request(topic, partition, consumer.next, isolation);
        let response = call(life, 12, request).await;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{topic}-{partition} at {}", consumer.next);
        let records = answer.records.clone().unwrap_or_default();
        if records.is_empty() {
            let end =
                if isolation == READ_COMMITTED { answer.last_stable_offset } else { answer.high_watermark };
            assert_eq!(consumer.next, end, "{topic}-{partition}: a read ends before the end");
            return consumer.found;
        }
        let aborted = answer.aborted_transactions.iter().flatten();
        consumer.aborted.extend(aborted.map(|aborted| (aborted.first_offset, aborted.producer_id.0)));
        for batch in batches(&records) {
            consumer.take(&batch.expect("a whole batch"));
        }
    }
}

/// Leaves out what was aborted, as Kafka's consumer does.
#[derive(Default)]
struct Consumer {
    from: i64,
    next: i64,
    /// Compaction leaves gaps.
    may_have_gaps: bool,
    found: Vec<(i64, String)>,
    /// First offset and producer of what was aborted, if the consumer asked for it.
    aborted: BTreeSet<(i64, i64)>,
    skipped: BTreeSet<i64>,
}

impl Consumer {
    fn take(&mut self, batch: &RecordBatch<'_>) {
        batch.verify_crc().expect("a sound batch");
        let header = batch.header();
        // A batch is given whole, also where its first records are deleted.
        let follows = header.base_offset <= self.next && header.next_offset() > self.next;
        assert!(
            follows || self.may_have_gaps,
            "an offset is missing: {} follows {}",
            header.base_offset,
            self.next
        );
        self.next = header.next_offset();
        while let Some(&(first_offset, producer_id)) = self.aborted.first()
            && first_offset <= header.base_offset
        {
            self.aborted.pop_first();
            self.skipped.insert(producer_id);
        }
        if header.is_control() {
            self.skipped.remove(&header.producer_id);
            return;
        }
        if header.is_transactional() && self.skipped.contains(&header.producer_id) {
            return;
        }
        for record in batch.records(MAX_BYTES as usize).expect("records").iter() {
            let record = record.expect("a record");
            let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
            if record.offset >= self.from {
                self.found.push((record.offset, value));
            }
        }
    }
}

fn fetch_request(topic: &str, partition: i32, offset: i64, isolation: i8) -> FetchRequest {
    let from = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(MAX_BYTES);
    let from = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![from]);
    FetchRequest::default()
        .with_session_epoch(-1)
        .with_max_bytes(MAX_BYTES)
        .with_isolation_level(isolation)
        .with_topics(vec![from])
}

async fn offsets(life: &mut Life, model: &mut Model) {
    for (key, known) in &mut model.offsets {
        let found = committed_offset(life, key).await;
        let OffsetModel { committed, doubtful, may_be_gone } = *known;
        assert!(
            found == committed || doubtful.is_some() && found == doubtful || found.is_none() && may_be_gone,
            "{key:?}: {found:?} is committed, not {committed:?}, perhaps {doubtful:?}"
        );
        *known = OffsetModel { committed: found, ..OffsetModel::default() };
    }
}

async fn committed_offset(life: &mut Life, (group, topic, partition): &OffsetKey) -> Option<i64> {
    let wanted = OffsetFetchRequestTopics::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![*partition]);
    let wanted = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![wanted]));
    let response = call(life, 8, OffsetFetchRequest::default().with_groups(vec![wanted])).await;
    let answer = &response.groups[0].topics[0].partitions[0];
    assert_eq!(answer.error_code, 0);
    Some(answer.committed_offset).filter(|&offset| offset >= 0)
}

async fn call<R: Request>(life: &mut Life, version: i16, request: R) -> R::Response {
    match life.call(version, request).await {
        Answer::Given(response) => response,
        Answer::Unknown => panic!("the broker died without a reason: {}", life.operations()),
    }
}
