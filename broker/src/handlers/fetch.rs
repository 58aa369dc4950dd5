//! Fetch v4–18.
//!
//! Answers whole batches as they lie in the log; the first one even if it is larger than every limit (KIP-74). A fetch
//! that finds less than `min_bytes` is parked on its partitions until an append fills it up or `max_wait_ms` is over.
//! `read_committed` ends at the last stable offset, and names the transactions whose records the client has to skip
//! (KIP-98). v7: incremental sessions (KIP-227). v9: the client's leader epoch is checked (KIP-320). v13: topic ids (KIP-516).
//!
//! Not done: replication. A fetch from a replica is served as a consumer's; rack-aware reads (v11, KIP-392) and
//! truncation detection (v12, KIP-595) have nothing to choose from or to detect.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ProducerId, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use ottla_storage::{Isolation, ReadOutcome};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::fetch_sessions::{
    FINAL_EPOCH, FetchTarget, PartitionKey, PartitionNews, SessionRequest, TopicKey,
};
use crate::fetch_wait::FetchWait;
use crate::handlers::Handler;
use crate::partition::{Partition, isolation_of};
use crate::state::BrokerState;

impl Handler for FetchRequest {
    const SERVED: VersionRange = VersionRange { min: 4, max: 18 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> FetchResponse {
        let limits = Limits::of(&self, broker.config.settings.fetch_max_bytes);
        let request = session_request(self, context.api_version);
        let admitted = match broker.fetch_sessions.lock().admit(request, broker.clock.monotonic_ms()) {
            Ok(admitted) => admitted,
            Err(error) => return FetchResponse::default().with_error_code(error.code()),
        };
        let targets = admitted.targets;
        let partitions: Vec<_> = targets.iter().map(|target| broker.topics.partition(&target.key)).collect();
        let mut found = read_enough(&targets, &partitions, &limits, &broker).await;

        let now_ms = broker.clock.monotonic_ms();
        let concluded =
            broker.fetch_sessions.lock().conclude(admitted.kind, &targets, &mut found, Found::news, now_ms);
        match concluded {
            Ok(session_id) => FetchResponse::default()
                .with_session_id(session_id)
                .with_responses(by_topic(found, limits.isolation)),
            Err(error) => FetchResponse::default().with_error_code(error.code()),
        }
    }
}

/// What bounds an answer, besides each partition's own `max_bytes`.
struct Limits {
    max_wait_ms: i64,
    min_bytes: usize,
    max_bytes: usize,
    isolation: Isolation,
}

impl Limits {
    fn of(request: &FetchRequest, fetch_max_bytes: i32) -> Limits {
        let max_bytes = to_usize(request.max_bytes.min(fetch_max_bytes));
        Limits {
            max_wait_ms: i64::from(request.max_wait_ms.max(0)),
            min_bytes: to_usize(request.min_bytes).min(max_bytes),
            max_bytes,
            isolation: isolation_of(request.isolation_level),
        }
    }
}

/// What one partition gives to an answer.
struct Found {
    key: PartitionKey,
    result: Result<ReadOutcome, ErrorCode>,
}

impl Found {
    fn record_bytes(&self) -> usize {
        self.result.as_ref().map_or(0, |read| read.records.len())
    }

    fn news(&self) -> (PartitionKey, PartitionNews) {
        let news = PartitionNews {
            error_code: self.result.as_ref().err().map_or(0, ErrorCode::code),
            high_watermark: self.result.as_ref().map_or(-1, |read| read.high_watermark),
            log_start_offset: self.result.as_ref().map_or(-1, |read| read.log_start_offset),
            record_bytes: self.record_bytes(),
        };
        (self.key.clone(), news)
    }

    /// The log end is the high watermark: there is one replica.
    fn into_response(self, isolation: Isolation) -> PartitionData {
        let response = PartitionData::default().with_partition_index(self.key.index);
        match self.result {
            Ok(read) => response
                .with_high_watermark(read.high_watermark)
                .with_last_stable_offset(read.last_stable_offset)
                .with_log_start_offset(read.log_start_offset)
                .with_aborted_transactions(aborted_transactions(&read.aborted, isolation))
                .with_records(Some(read.records)),
            Err(error) => response
                .with_error_code(error.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_records(Some(Bytes::new())),
        }
    }
}

/// Null for a client that did not ask.
fn aborted_transactions(
    aborted: &[ottla_storage::AbortedTransaction],
    isolation: Isolation,
) -> Option<Vec<AbortedTransaction>> {
    let aborted = aborted.iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first_offset)
    });
    (isolation == Isolation::ReadCommitted).then(|| aborted.collect())
}

type Resolved = Result<Arc<Partition>, ErrorCode>;

/// Reads until there is enough, something to report, or no time left.
async fn read_enough(
    targets: &[FetchTarget],
    partitions: &[Resolved],
    limits: &Limits,
    broker: &BrokerState,
) -> Vec<Found> {
    let clock = &broker.clock;
    let found = read(targets, partitions, limits);
    if limits.max_wait_ms == 0 || is_enough(&found, partitions, limits) {
        return found;
    }
    let Some(_room) = broker.parking_room.try_enter(targets.len()) else { return found };
    let mut found_bytes = record_bytes(&found);
    drop(found);
    let waited_on: Vec<_> = partitions.iter().flatten().cloned().collect();
    let deadline_ms = clock.monotonic_ms().saturating_add(limits.max_wait_ms);
    loop {
        let wait = FetchWait::park(&waited_on, limits.min_bytes - found_bytes, limits.isolation);
        let again = read(targets, partitions, limits);
        if is_enough(&again, partitions, limits) {
            return again;
        }
        wait.found(record_bytes(&again).saturating_sub(found_bytes));
        drop(again);
        let in_time = tokio::select! {
            () = wait.woken() => true,
            () = clock.sleep_until(deadline_ms) => false,
        };
        let found = read(targets, partitions, limits);
        if !in_time || is_enough(&found, partitions, limits) {
            return found;
        }
        found_bytes = record_bytes(&found);
    }
}

/// An error in a partition that exists is told at once. One that does not exist holds up nobody, unless there is
/// nothing else to wait for.
fn is_enough(found: &[Found], partitions: &[Resolved], limits: &Limits) -> bool {
    let failed =
        found.iter().zip(partitions).any(|(found, partition)| partition.is_ok() && found.result.is_err());
    failed || partitions.iter().all(Result::is_err) || record_bytes(found) >= limits.min_bytes
}

fn record_bytes(found: &[Found]) -> usize {
    found.iter().map(Found::record_bytes).sum()
}

fn read(targets: &[FetchTarget], partitions: &[Resolved], limits: &Limits) -> Vec<Found> {
    let mut left_bytes = limits.max_bytes;
    let mut at_least_one = true;
    let read = targets.iter().zip(partitions).map(|(target, partition)| {
        let max_bytes = left_bytes.min(to_usize(target.max_bytes));
        let result = partition.as_ref().map_err(|error| *error);
        let result = result.and_then(|partition| {
            partition.check_leader_epoch(target.current_leader_epoch)?;
            partition.read(target.fetch_offset, max_bytes, at_least_one, limits.isolation)
        });
        let found = Found { key: target.key.clone(), result };
        at_least_one &= found.record_bytes() == 0;
        left_bytes = left_bytes.saturating_sub(found.record_bytes());
        found
    });
    read.collect()
}

fn by_topic(found: Vec<Found>, isolation: Isolation) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(TopicKey, Vec<PartitionData>)> = Vec::new();
    for found in found {
        let topic = found.key.topic.clone();
        match topics.last_mut() {
            Some((last, partitions)) if *last == topic => {
                partitions.push(found.into_response(isolation));
            }
            _ => topics.push((topic, vec![found.into_response(isolation)])),
        }
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        let response = FetchableTopicResponse::default().with_partitions(partitions);
        match topic {
            TopicKey::Name(name) => response.with_topic(name),
            TopicKey::Id(id) => response.with_topic_id(id),
        }
    });
    topics.collect()
}

fn session_request(request: FetchRequest, api_version: i16) -> SessionRequest {
    let uses_topic_ids = api_version >= 13;
    // Names are copied: as they came, they would keep the connection's read buffer for as long as the fetch waits.
    let key = |name: TopicName, id: Uuid| match uses_topic_ids {
        true => TopicKey::Id(id),
        false => TopicKey::Name(TopicName(StrBytes::from_string(name.to_string()))),
    };
    let targets = request.topics.into_iter().flat_map(|topic| {
        let topic_key = key(topic.topic, topic.topic_id);
        topic.partitions.into_iter().map(move |partition| FetchTarget {
            key: PartitionKey { topic: topic_key.clone(), index: partition.partition },
            fetch_offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
        })
    });
    let forgotten = request.forgotten_topics_data.into_iter().flat_map(|topic| {
        let topic_key = key(topic.topic, topic.topic_id);
        topic.partitions.into_iter().map(move |index| PartitionKey { topic: topic_key.clone(), index })
    });
    SessionRequest {
        session_id: request.session_id,
        // Before v7 there are no sessions.
        epoch: if api_version < 7 { FINAL_EPOCH } else { request.session_epoch },
        uses_topic_ids,
        targets: targets.collect(),
        forgotten: forgotten.collect(),
    }
}

/// A negative size is none.
fn to_usize(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}
