//! One file per API. Each opens with its contract: versions, behaviour, the KIPs behind it, and what is not done.

use std::future::Future;
use std::sync::Arc;

use ottla_protocol::{Request, VersionRange};

use crate::context::RequestContext;
use crate::state::BrokerState;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
pub(crate) mod api_versions;
mod config_resource;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod produce_in_transaction;
mod repeated;
mod sync_group;
mod txn_offset_commit;
mod write_txn_markers;

/// A request that the broker serves.
///
/// An error becomes the response's own error code, where the API's clients expect it.
pub(crate) trait Handler: Request + Send + 'static {
    /// The versions served; within the schema's, which [`crate::routes`] asserts at compile time.
    const SERVED: VersionRange;

    /// The lowest version that ApiVersions names; only Produce says less than it serves.
    const ADVERTISED_MIN: i16 = <Self as Handler>::SERVED.min;

    /// False for the requests whose sender waits for no response.
    fn is_answered(&self) -> bool {
        true
    }

    /// Whether a response that is not sent would have told of an error; the connection is then closed instead.
    fn has_failed(_: &Self::Response) -> bool {
        false
    }

    /// Serves the request. What stands before the first `.await` runs in the order in which a connection's
    /// requests came; what follows may overlap with later requests of the same connection.
    fn handle(
        self,
        broker: Arc<BrokerState>,
        context: RequestContext,
    ) -> impl Future<Output = Self::Response> + Send;
}
