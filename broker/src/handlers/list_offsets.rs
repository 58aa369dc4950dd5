//! ListOffsets v1–10.
//!
//! A timestamp is answered with the first record at or after it. Below zero stand: −1 the end, −2 the start, −3 the
//! record with the largest timestamp, of those that are left (v7, KIP-734), −4 the start of what is on local disk (v8,
//! KIP-405), −5 the end of what is in remote storage (v9, KIP-1005). v2: `read_committed` sees nothing from the last
//! stable offset on (KIP-98). v4: leader epochs are checked and answered (KIP-320). A partition that is named twice is
//! refused, once.
//!
//! Not done: remote storage; −5 answers that there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use ottla_protocol::{ErrorCode, VersionRange};
use ottla_storage::{Isolation, OffsetAndTimestamp};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::repeated;
use crate::partition::{Partition, isolation_of, read_error_code};
use crate::state::BrokerState;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

impl Handler for ListOffsetsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 10 };

    async fn handle(mut self, broker: Arc<BrokerState>, context: RequestContext) -> ListOffsetsResponse {
        let duplicates = keep_one_of_each(&mut self.topics);
        let question = Question {
            duplicates,
            isolation: isolation_of(self.isolation_level),
            api_version: context.api_version,
        };
        let topics = self.topics.into_iter().map(|topic| answer(&broker, topic, &question));
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

/// What is the same for all partitions of a request.
struct Question {
    /// Partitions that it names several times, which could mean either.
    duplicates: BTreeSet<(TopicName, i32)>,
    isolation: Isolation,
    api_version: i16,
}

/// Leaves each partition once, and answers which were there several times.
fn keep_one_of_each(topics: &mut [ListOffsetsTopic]) -> BTreeSet<(TopicName, i32)> {
    let key = |topic: &TopicName, asked: &ListOffsetsPartition| (topic.clone(), asked.partition_index);
    let named = topics.iter().flat_map(|topic| topic.partitions.iter().map(|asked| key(&topic.name, asked)));
    let duplicates = repeated(named);
    let mut seen = BTreeSet::new();
    for topic in topics.iter_mut().filter(|_| !duplicates.is_empty()) {
        topic.partitions.retain(|asked| seen.insert(key(&topic.name, asked)));
    }
    duplicates
}

fn answer(broker: &BrokerState, asked: ListOffsetsTopic, question: &Question) -> ListOffsetsTopicResponse {
    let topic = broker.topics.by_name(&asked.name);
    let api_version = question.api_version;
    let partitions = asked.partitions.into_iter().map(|partition| {
        let index = partition.partition_index;
        let found = match topic.as_ref().and_then(|topic| topic.partition(index)) {
            _ if question.duplicates.contains(&(asked.name.clone(), index)) => Err(ErrorCode::InvalidRequest),
            Some(found) => find(found, &partition, question.isolation, api_version),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
        match found {
            Ok(found) => response
                .with_offset(found.offset)
                .with_timestamp(found.timestamp)
                .with_leader_epoch(if api_version >= 4 { found.leader_epoch } else { -1 }),
            Err(error) => response.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
        }
    });
    ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
}

/// Stands for an offset that there is none of.
const NONE: OffsetAndTimestamp = OffsetAndTimestamp { offset: -1, timestamp: -1, leader_epoch: -1 };

fn find(
    partition: &Partition,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
    api_version: i16,
) -> Result<OffsetAndTimestamp, ErrorCode> {
    partition.check_leader_epoch(asked.current_leader_epoch)?;
    let at = |offset| Ok(OffsetAndTimestamp { offset, timestamp: -1, leader_epoch: partition.leader_epoch });
    let log = &partition.log;
    let found = match asked.timestamp {
        LATEST => return at(partition.end_offset_for(isolation)?),
        EARLIEST => return at(partition.start_offset()),
        EARLIEST_LOCAL if api_version >= 8 => return at(partition.start_offset()),
        LATEST_TIERED if api_version >= 9 => return Ok(NONE),
        MAX_TIMESTAMP if api_version >= 7 => log.offset_of_max_timestamp(isolation),
        timestamp if timestamp >= 0 => log.offset_for_timestamp(timestamp, isolation),
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    Ok(found.map_err(|error| read_error_code(&error))?.unwrap_or(NONE))
}
