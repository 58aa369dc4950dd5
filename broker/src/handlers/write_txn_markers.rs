//! WriteTxnMarkers v1.
//!
//! Ends a transaction in single partitions, whatever its coordinator knows of it. Brokers send it to each other;
//! `kafka-transactions abort` sends it for a transaction that hangs (KIP-664).
//!
//! Not done: v2 (KIP-1228); the message structs do not have it.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::VersionRange;
use ottla_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use ottla_protocol::messages::{TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use ottla_storage::TransactionMarker;

use crate::context::RequestContext;
use crate::groups::offsets_topic;
use crate::handlers::Handler;
use crate::partition::marker_error_code;
use crate::state::BrokerState;
use crate::transactions::transaction::Outcome;

impl Handler for WriteTxnMarkersRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 1 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> WriteTxnMarkersResponse {
        let now_ms = broker.clock.now_ms();
        let results = self.markers.iter().map(|marker| {
            let written = |topic: &WritableTxnMarkerTopic| write(&broker, marker, topic, now_ms);
            WritableTxnMarkerResult::default()
                .with_producer_id(marker.producer_id)
                .with_topics(marker.topics.iter().map(written).collect())
        });
        WriteTxnMarkersResponse::default().with_markers(results.collect())
    }
}

fn write(
    broker: &BrokerState,
    asked: &WritableTxnMarker,
    topic: &WritableTxnMarkerTopic,
    now_ms: i64,
) -> WritableTxnMarkerTopicResult {
    let marker = TransactionMarker {
        producer_id: asked.producer_id.0,
        producer_epoch: asked.producer_epoch,
        coordinator_epoch: asked.coordinator_epoch,
        outcome: if asked.transaction_result { Outcome::Commit } else { Outcome::Abort },
        transaction_version: 0,
    };
    let results = topic.partition_indexes.iter().map(|index| {
        let written = append(broker, &marker, &topic.name, *index, now_ms);
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(*index)
            .with_error_code(written.err().map_or(0, |error| error.code()))
    });
    WritableTxnMarkerTopicResult::default().with_name(topic.name.clone()).with_partitions(results.collect())
}

fn append(
    broker: &BrokerState,
    marker: &TransactionMarker,
    topic: &TopicName,
    index: i32,
    now_ms: i64,
) -> Result<(), ErrorCode> {
    if marker.producer_id < 0 || marker.producer_epoch < 0 {
        return Err(ErrorCode::InvalidRequest);
    }
    let found = broker.topics.by_name(topic);
    let partition = found.as_ref().and_then(|topic| topic.partition(index));
    let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let written = if topic.as_str() == offsets_topic::TOPIC_NAME {
        broker.groups.end_transaction(index, marker)
    } else {
        partition.append_marker(marker, now_ms).map(drop)
    };
    written.map_err(|error| marker_error_code(&error))
}
