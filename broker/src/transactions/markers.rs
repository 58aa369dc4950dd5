//! Ends a transaction in the partitions that it wrote to.

use std::sync::Arc;

use ottla_protocol::messages::TopicName;
use ottla_storage::{AppendError, LogStopped, MarkerError, TransactionMarker};
use tracing::warn;

use super::partition_set::PartitionSet;
use super::transaction::{ClientVersion, Outcome, Producer};
use crate::groups::coordinator::GroupCoordinator;
use crate::groups::offsets_topic;
use crate::topics::Topics;

/// What all partitions of a transaction are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer: Producer,
    pub(crate) outcome: Outcome,
    pub(crate) coordinator_epoch: i32,
    pub(crate) client_version: ClientVersion,
}

/// Where markers go.
pub(crate) trait Markers: Send + Sync {
    /// Ends a transaction in `partitions`, and answers those in which it could not be ended now.
    fn write(&self, marker: Marker, partitions: &PartitionSet, now_ms: i64) -> PartitionSet;
}

/// The partitions of this broker.
pub(crate) struct PartitionMarkers {
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: Arc<GroupCoordinator>,
}

impl Markers for PartitionMarkers {
    fn write(&self, marker: Marker, partitions: &PartitionSet, now_ms: i64) -> PartitionSet {
        let marker = marker.for_log();
        let is_left = |(topic, partition): &(&TopicName, i32)| match self
            .append(&marker, topic, *partition, now_ms)
        {
            Ok(()) => false,
            Err(error) => {
                let is_final = is_final(&error);
                warn!(topic = topic.as_str(), partition, %error, is_final, "a transaction marker was not written");
                !is_final
            }
        };
        let left = partitions.iter().filter(is_left);
        left.map(|(topic, partition)| (topic.clone(), partition)).collect()
    }
}

impl PartitionMarkers {
    /// A partition that is gone took its part of the transaction with it.
    fn append(
        &self,
        marker: &TransactionMarker,
        topic: &TopicName,
        partition: i32,
        now_ms: i64,
    ) -> Result<(), MarkerError> {
        if topic.as_str() == offsets_topic::TOPIC_NAME {
            return self.groups.end_transaction(partition, marker);
        }
        let topic = self.topics.by_name(topic);
        let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(partition)) else {
            return Ok(());
        };
        partition.append_marker(marker, now_ms).map(drop)
    }
}

impl Marker {
    pub(crate) fn for_log(self) -> TransactionMarker {
        TransactionMarker {
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            coordinator_epoch: self.coordinator_epoch,
            outcome: self.outcome,
            transaction_version: match self.client_version {
                ClientVersion::V0 => 0,
                ClientVersion::V2 => 2,
            },
        }
    }
}

/// Whether trying again cannot help: the log is deleted, or the producer or a newer coordinator has gone on in it.
fn is_final(error: &MarkerError) -> bool {
    match error {
        MarkerError::Producer(_) | MarkerError::CoordinatorFenced { .. } => true,
        MarkerError::Append(AppendError::Stopped(LogStopped::Deleted)) => true,
        MarkerError::Build(_) | MarkerError::Append(_) => false,
    }
}
