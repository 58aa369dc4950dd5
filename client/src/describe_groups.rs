//! DescribeGroups v5–6. v6: an unknown group is GROUP_ID_NOT_FOUND instead of `Dead` (KIP-1043).

use ottla_protocol::messages::describe_groups_response::DescribedGroupMember;
use ottla_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::client::Client;
use crate::error::{KafkaError, RequestError, Subject};
use crate::group::{TopicPartitions, decode_assignment};

const VERSIONS: VersionRange = VersionRange { min: 5, max: 6 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    pub group: String,
    /// Kafka's names: `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`.
    pub state: String,
    pub protocol_type: String,
    /// The assignor that the group has agreed on.
    pub protocol: String,
    pub members: Vec<GroupMemberDescription>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMemberDescription {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Empty where the group is not one of consumers.
    pub assignment: TopicPartitions,
}

impl Client {
    /// A group that the broker does not know is an error with [`ErrorCode::GroupIdNotFound`].
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, RequestError> {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![GroupId(StrBytes::from_string(group.to_owned()))]);
        let response = self.call_coordinator(group, VERSIONS, |_| request.clone(), group_error).await?;
        description(response, group)
    }
}

fn group_error(response: &DescribeGroupsResponse) -> i16 {
    response.groups.first().map_or(0, |group| group.error_code)
}

fn description(response: DescribeGroupsResponse, group: &str) -> Result<GroupDescription, RequestError> {
    let Some(described) = response.groups.into_iter().find(|described| described.group_id.as_str() == group)
    else {
        return Err(RequestError::Incomplete { api: ApiKey::DescribeGroups });
    };
    let subject = Subject::Group(group.to_owned());
    if let Some(error) = KafkaError::new(described.error_code, described.error_message) {
        return Err(RequestError::Kafka { subject, error });
    }
    if described.group_state.as_str() == "Dead" {
        return Err(RequestError::kafka(subject, ErrorCode::GroupIdNotFound));
    }
    Ok(GroupDescription {
        group: group.to_owned(),
        state: described.group_state.to_string(),
        protocol_type: described.protocol_type.to_string(),
        protocol: described.protocol_data.to_string(),
        members: described.members.into_iter().map(member).collect(),
    })
}

fn member(member: DescribedGroupMember) -> GroupMemberDescription {
    GroupMemberDescription {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: decode_assignment(member.member_assignment).unwrap_or_default(),
    }
}
