//! SyncGroup v3–5: the leader hands in all assignments, every member gets its own. v5: names the protocol (KIP-559).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ottla_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_protocol::messages::{ApiKey, GroupId, SyncGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use super::consumer_protocol::{TopicPartitions, decode_assignment, encode_assignment};
use super::join_group::PROTOCOL_TYPE;
use super::member::GroupMember;
use super::range_assignor;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 5 };
const FIRST_VERSION_WITH_PROTOCOL: i16 = 5;

impl GroupMember {
    pub(super) async fn sync_group(
        &self,
        protocol: &str,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<TopicPartitions, RequestError> {
        let group = &self.config.group;
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.clone())))
            .with_generation_id(self.generation_id)
            .with_member_id(StrBytes::from_string(self.member_id.clone()))
            .with_assignments(assignments);
        let build = |version| match version {
            FIRST_VERSION_WITH_PROTOCOL.. => request
                .clone()
                .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
                .with_protocol_name(Some(StrBytes::from_string(protocol.to_owned()))),
            _ => request.clone(),
        };
        let line = self.line(self.rebalance_patience());
        let code_of = |response: &SyncGroupResponse| response.error_code;
        let response = self.client.call_coordinator_on(line, VERSIONS, build, code_of).await?;
        match ErrorCode::try_from_code(response.error_code) {
            Some(code) => Err(RequestError::kafka(Subject::Group(group.clone()), code)),
            None => decode_assignment(response.assignment)
                .map_err(|_| RequestError::Incomplete { api: ApiKey::SyncGroup }),
        }
    }

    /// The leader's part: who reads what.
    pub(super) async fn assign(
        &self,
        subscriptions: &BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<SyncGroupRequestAssignment>, RequestError> {
        let wanted: BTreeSet<&str> = subscriptions.values().flatten().map(String::as_str).collect();
        let metadata = self.client.metadata(&wanted.into_iter().collect::<Vec<_>>()).await?;
        let known = metadata.topics.iter().filter(|topic| topic.error.is_none());
        let partition_counts: HashMap<String, i32> =
            known.map(|topic| (topic.name.clone(), topic.partitions.len() as i32)).collect();
        let assigned = range_assignor::assign(subscriptions, &partition_counts);
        let assignments = assigned.iter().map(|(member_id, partitions)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member_id.clone()))
                .with_assignment(encode_assignment(partitions))
        });
        Ok(assignments.collect())
    }
}
