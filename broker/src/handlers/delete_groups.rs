//! DeleteGroups v0–2.
//!
//! A group without members goes, and its offsets with it (KIP-229).

use std::sync::Arc;

use ottla_protocol::VersionRange;
use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for DeleteGroupsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 2 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DeleteGroupsResponse {
        let delete = |group_id: GroupId| {
            let error_code = broker.groups.delete_group(&group_id).err().map_or(0, |error| error.code());
            DeletableGroupResult::default().with_group_id(group_id).with_error_code(error_code)
        };
        DeleteGroupsResponse::default().with_results(self.groups_names.into_iter().map(delete).collect())
    }
}
