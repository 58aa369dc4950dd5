//! ListGroups v0–5.
//!
//! v4: only groups in certain states, and the state is answered (KIP-518). v5: the same for types (KIP-848); all
//! groups here are of type `classic`. Filters are compared without regard to case.

use std::sync::Arc;

use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use ottla_protocol::{StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;

impl Handler for ListGroupsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 5 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> ListGroupsResponse {
        let mut groups = broker.groups.list();
        groups.retain(|group| matches(&self, group));
        ListGroupsResponse::default().with_groups(groups)
    }
}

fn matches(request: &ListGroupsRequest, group: &ListedGroup) -> bool {
    passes(&request.states_filter, &group.group_state) && passes(&request.types_filter, &group.group_type)
}

fn passes(filter: &[StrBytes], name: &StrBytes) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_ignore_case_and_none_passes_all() {
        let text = StrBytes::from_static_str;
        assert!(passes(&[], &text("Stable")));
        assert!(passes(&[text("empty"), text(" STABLE ")], &text("Stable")));
        assert!(!passes(&[text("consumer")], &text("classic")));
    }
}
