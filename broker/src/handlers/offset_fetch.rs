//! OffsetFetch v1–9.
//!
//! v2: without topics, all offsets of the group. v7: `require_stable`, by which an offset that an open transaction may
//! change is answered UNSTABLE_OFFSET_COMMIT (KIP-447). v8: several groups at once (KIP-709). v9: member id and epoch,
//! which classic groups do not check (KIP-848).

use std::sync::Arc;

use ottla_protocol::VersionRange;
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for OffsetFetchRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 9 };

    async fn handle(self, broker: Arc<BrokerState>, context: RequestContext) -> OffsetFetchResponse {
        if context.api_version >= 8 {
            let stable = self.require_stable;
            let groups = self.groups.into_iter().map(|group| fetch(&broker, group, stable));
            return OffsetFetchResponse::default().with_groups(groups.collect());
        }
        let topics = self.topics.map(|topics| {
            let asked = topics.into_iter().map(|topic| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic.name)
                    .with_partition_indexes(topic.partition_indexes)
            });
            asked.collect::<Vec<_>>()
        });
        let offsets = broker.groups.fetch_offsets(&self.group_id, topics.as_deref(), self.require_stable);
        OffsetFetchResponse::default().with_topics(offsets.into_iter().map(single_group_form).collect())
    }
}

fn fetch(
    broker: &BrokerState,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let topics = broker.groups.fetch_offsets(&group.group_id, group.topics.as_deref(), require_stable);
    OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
}

/// Up to v7 the same fields have types of their own.
fn single_group_form(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partition = |partition: OffsetFetchResponsePartitions| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code)
    };
    let partitions = topic.partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions)
}
