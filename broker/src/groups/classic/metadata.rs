//! What of a group is kept in the log, and the group that comes of it after a restart.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::GroupId;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use super::member::{Member, Waiting};
use super::{ClassicGroup, Phase, Syncing};
use crate::groups::record::{CoordinatorRecord, GroupMetadata, MemberMetadata};
use crate::groups::turn::Now;

impl ClassicGroup {
    /// The record that brings back the present generation with its assignments.
    pub(crate) fn metadata_record(&self) -> CoordinatorRecord {
        CoordinatorRecord::Group { group: self.id.clone(), value: Some(self.metadata()) }
    }

    fn metadata(&self) -> GroupMetadata {
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation_id: self.generation_id,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            phase_since_ms: self.phase_since_ms,
            members: self.members.values().map(|member| self.member_metadata(member)).collect(),
        }
    }

    fn member_metadata(&self, member: &Member) -> MemberMetadata {
        MemberMetadata {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: self.protocol_name.as_ref().map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: member.assignment.clone(),
        }
    }

    /// A group as the log has it. Its members have a session's time to show that they are still there.
    pub(crate) fn from_record(id: GroupId, metadata: GroupMetadata, now: Now) -> ClassicGroup {
        let protocol_name = metadata.protocol_name.clone();
        let members = metadata.members.into_iter().map(|member| restore(member, protocol_name.as_ref(), now));
        let members: BTreeMap<_, _> = members.map(|member| (member.id.clone(), member)).collect();
        let is_empty = members.is_empty();
        let mut group = ClassicGroup {
            id,
            phase: if is_empty { Phase::Empty } else { Phase::Stable(Syncing::default()) },
            phase_since_ms: metadata.phase_since_ms,
            generation_id: metadata.generation_id,
            protocol_type: Some(metadata.protocol_type).filter(|kind| !kind.is_empty()),
            protocol_name: metadata.protocol_name,
            leader: metadata.leader,
            members,
            pending_members: BTreeMap::new(),
            subscribed_topics: None,
        };
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }
}

fn restore(metadata: MemberMetadata, protocol_name: Option<&StrBytes>, now: Now) -> Member {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(protocol_name.cloned().unwrap_or_default())
        .with_metadata(metadata.subscription);
    let mut member = Member {
        id: metadata.member_id,
        instance_id: metadata.instance_id,
        client_id: metadata.client_id,
        client_host: metadata.client_host,
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        session_timeout_ms: metadata.session_timeout_ms,
        protocols: vec![protocol],
        assignment: metadata.assignment,
        waiting: Waiting::Nothing,
        is_new: false,
        session_deadline_ms: None,
    };
    member.restart_session(now.monotonic_ms);
    member
}
