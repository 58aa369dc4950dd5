//! DeleteRecords v0–2 (KIP-107).
//!
//! A partition begins at the offset that is named, −1 being its high watermark; an offset below its start changes
//! nothing. When the answer comes, that outlives the process (Kafka loses it to a kill within a minute), and fetches that
//! waited below it were told. Files go with the segments that lie below it altogether.
//!
//! Refused: internal topics, and topics that are compacted only.

use std::sync::Arc;

use ottla_protocol::messages::delete_records_request::DeleteRecordsPartition;
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::{Partition, start_offset_error_code};
use crate::state::BrokerState;
use crate::topic_name::is_internal;
use crate::topics::{Topic, Topics};

const HIGH_WATERMARK: i64 = -1;
const NO_LOW_WATERMARK: i64 = -1;

impl Handler for DeleteRecordsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 2 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DeleteRecordsResponse {
        let mut advanced = Vec::new();
        let mut topics = Vec::new();
        for asked in self.topics {
            let topic = broker.topics.by_name(&asked.name);
            let results = asked.partitions.iter().map(|asked| {
                let result = advance(topic.as_deref(), asked);
                advanced.extend(result.as_ref().ok().cloned());
                (asked.partition_index, result)
            });
            topics.push((asked.name, results.collect::<Vec<_>>()));
        }
        let kept = keep(&broker.topics, advanced).await;
        let topics = topics.into_iter().map(|(name, results)| {
            let results = results.into_iter().map(|(index, result)| {
                response(index, result.and_then(|partition| kept.map(|()| partition)))
            });
            DeleteRecordsTopicResult::default().with_name(name).with_partitions(results.collect())
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    }
}

fn advance(topic: Option<&Topic>, asked: &DeleteRecordsPartition) -> Result<Arc<Partition>, ErrorCode> {
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if is_internal(&topic.name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = topic.partition(asked.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let policy = topic.settings.cleanup_policy;
    if policy.compact && !policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    // What waits for the disk is not acknowledged yet, and then it must be there.
    let high_watermark = partition.high_watermark();
    let offset = match asked.offset {
        HIGH_WATERMARK => high_watermark,
        offset if !(0..=high_watermark).contains(&offset) => return Err(ErrorCode::OffsetOutOfRange),
        offset => offset,
    };
    partition.advance_start_offset(offset).map_err(|error| start_offset_error_code(&error))?;
    Ok(Arc::clone(partition))
}

/// Makes it last before anything is removed.
async fn keep(topics: &Topics, advanced: Vec<Arc<Partition>>) -> Result<(), ErrorCode> {
    if advanced.is_empty() {
        return Ok(());
    }
    topics.keep_log_starts().map_err(|error| {
        tracing::error!("cannot keep where logs begin: {error}");
        error.code()
    })?;
    let removed = tokio::task::spawn_blocking(move || {
        for partition in advanced {
            if let Err(error) = partition.log.drop_segments_below_start() {
                tracing::warn!("{error}; the next check for old segments tries again");
            }
        }
    });
    // What is left is removed later; the answer does not depend on it.
    let _ = removed.await;
    Ok(())
}

fn response(index: i32, result: Result<Arc<Partition>, ErrorCode>) -> DeleteRecordsPartitionResult {
    let response = DeleteRecordsPartitionResult::default().with_partition_index(index);
    match result {
        Ok(partition) => response.with_low_watermark(partition.start_offset()),
        Err(error) => response.with_low_watermark(NO_LOW_WATERMARK).with_error_code(error.code()),
    }
}
