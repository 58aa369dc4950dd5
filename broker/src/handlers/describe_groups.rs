//! DescribeGroups v0–6.
//!
//! Metadata and protocol are shown of stable groups only. v3: authorized operations, which are all, since there is no
//! authorizer (KIP-430). v6: a group that does not exist is GROUP_ID_NOT_FOUND; before, it was in state Dead (KIP-1043).
//! A group that is named several times is described once, which Kafka does not do: its members may have given megabytes.

use std::sync::Arc;

use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::keep_firsts;
use crate::state::BrokerState;

/// One bit for each of Kafka's `AclOperation` codes that apply to a group: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS,
/// ALTER_CONFIGS.
const ALL_GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

impl Handler for DescribeGroupsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 6 };

    async fn handle(mut self, broker: Arc<BrokerState>, context: RequestContext) -> DescribeGroupsResponse {
        keep_firsts(&mut self.groups, GroupId::clone);
        let describe = |group_id: GroupId| {
            let group =
                broker.groups.describe(&group_id).unwrap_or_else(|| dead(group_id, context.api_version));
            if self.include_authorized_operations && group.error_code == 0 {
                return group.with_authorized_operations(ALL_GROUP_OPERATIONS);
            }
            group
        };
        DescribeGroupsResponse::default().with_groups(self.groups.into_iter().map(describe).collect())
    }
}

fn dead(group_id: GroupId, api_version: i16) -> DescribedGroup {
    let message = format!("Group {} not found.", group_id.as_str());
    let group =
        DescribedGroup::default().with_group_id(group_id).with_group_state(StrBytes::from_static_str("Dead"));
    if api_version < 6 {
        return group;
    }
    group
        .with_error_code(ErrorCode::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}
