//! JoinGroup v5–9. v4: a new member gets its id first (KIP-394); v9: a leader that need not assign (KIP-814).

use std::collections::BTreeMap;

use ottla_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::messages::{ApiKey, GroupId, JoinGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use super::consumer_protocol::{decode_subscription, encode_subscription};
use super::member::GroupMember;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 5, max: 9 };
pub(super) const PROTOCOL_TYPE: &str = "consumer";
const RANGE: &str = "range";

/// The place that a member has in a generation of its group.
#[derive(Debug)]
pub(super) enum Joined {
    /// Shares the partitions out; knows what each member wants.
    Leader {
        protocol: String,
        subscriptions: BTreeMap<String, Vec<String>>,
    },
    Follower {
        protocol: String,
    },
}

impl Joined {
    pub(super) fn protocol(&self) -> &str {
        match self {
            Joined::Leader { protocol, .. } | Joined::Follower { protocol } => protocol,
        }
    }
}

impl GroupMember {
    pub(super) async fn join_group(&mut self) -> Result<Joined, RequestError> {
        let mut response = self.send_join_group().await?;
        if ErrorCode::try_from_code(response.error_code) == Some(ErrorCode::MemberIdRequired) {
            self.member_id = response.member_id.to_string();
            response = self.send_join_group().await?;
        }
        if let Some(code) = ErrorCode::try_from_code(response.error_code) {
            return Err(RequestError::kafka(Subject::Group(self.config.group.clone()), code));
        }
        self.member_id = response.member_id.to_string();
        self.generation_id = response.generation_id;
        joined(response)
    }

    async fn send_join_group(&self) -> Result<JoinGroupResponse, RequestError> {
        let config = &self.config;
        let range = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(RANGE))
            .with_metadata(encode_subscription(&config.topics));
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(config.group.clone())))
            .with_session_timeout_ms(i32::try_from(config.session_timeout.as_millis()).unwrap_or(i32::MAX))
            .with_rebalance_timeout_ms(
                i32::try_from(config.rebalance_timeout.as_millis()).unwrap_or(i32::MAX),
            )
            .with_member_id(StrBytes::from_string(self.member_id.clone()))
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(vec![range]);
        let line = self.line(self.rebalance_patience());
        let code_of = |response: &JoinGroupResponse| response.error_code;
        self.client.call_coordinator_on(line, VERSIONS, |_| request.clone(), code_of).await
    }
}

fn joined(response: JoinGroupResponse) -> Result<Joined, RequestError> {
    let protocol = response.protocol_name.map(|name| name.to_string()).unwrap_or_default();
    if response.leader != response.member_id {
        return Ok(Joined::Follower { protocol });
    }
    let mut subscriptions = BTreeMap::new();
    for member in response.members {
        let topics = decode_subscription(member.metadata)
            .map_err(|_| RequestError::Incomplete { api: ApiKey::JoinGroup })?;
        subscriptions.insert(member.member_id.to_string(), topics);
    }
    Ok(Joined::Leader { protocol, subscriptions })
}
