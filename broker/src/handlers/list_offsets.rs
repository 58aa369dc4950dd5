//! ListOffsets v1–10.
//!
//! A timestamp is answered with the first record at or after it. Below zero stand: −1 the end, −2 the start, −3 the record with the largest timestamp (v7,
//! KIP-734), −4 the start of what is on local disk (v8, KIP-405), −5 the end of what is in remote storage (v9,
//! KIP-1005). v2: `read_committed` sees nothing from the last stable offset on (KIP-98). v4: leader epochs
//! are checked and answered (KIP-320).
//!
//! Not done: remote storage; −5 answers that there is none.

use std::sync::Arc;

use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use ottla_protocol::{ErrorCode, VersionRange};
use ottla_storage::{Isolation, OffsetAndTimestamp};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::{Partition, isolation_of, read_error_code};
use crate::state::BrokerState;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

impl Handler for ListOffsetsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 10 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> ListOffsetsResponse {
        let isolation = isolation_of(self.isolation_level);
        let topics = self.topics.into_iter();
        let topics = topics.map(|topic| answer(&broker, topic, isolation, context.api_version));
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

fn answer(
    broker: &BrokerState,
    asked: ListOffsetsTopic,
    isolation: Isolation,
    api_version: i16,
) -> ListOffsetsTopicResponse {
    let topic = broker.topics.by_name(&asked.name);
    let partitions = asked.partitions.into_iter().map(|asked| {
        let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
        let found = partition.ok_or(ErrorCode::UnknownTopicOrPartition);
        let found = found.and_then(|partition| find(partition, &asked, isolation, api_version));
        let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
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
