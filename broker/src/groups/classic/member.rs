//! A member of a classic group.

use bytes::Bytes;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_groups_response::DescribedGroupMember;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use crate::groups::MemberId;
use crate::groups::turn::Ticket;

/// A member that has joined. One that was only told its id is not yet a member, but pending.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// What the member can speak, most wanted first; never empty.
    pub(crate) protocols: Vec<JoinGroupRequestProtocol>,
    pub(crate) assignment: Bytes,
    pub(super) waiting: Waiting,
    /// Has never seen the end of a rebalance, so it does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
    /// When the session ends; `None` once that time has come while the member was waiting for an answer of ours.
    pub(super) session_deadline_ms: Option<i64>,
}

/// The request of a member that has not been answered. A member has at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    Join(Ticket),
    Sync(Ticket),
}

/// What a member takes besides its texts and metadata.
pub(super) const MEMBER_BYTES: usize = 512;
/// What a protocol, a pending member or a subscribed topic takes besides its text and metadata.
pub(super) const ENTRY_BYTES: usize = 128;

/// What a member takes to remember what it can speak.
pub(super) fn protocols_bytes(protocols: &[JoinGroupRequestProtocol]) -> usize {
    protocols.iter().map(|protocol| ENTRY_BYTES + protocol.name.len() + protocol.metadata.len()).sum()
}

impl Member {
    pub(super) fn held_bytes(&self) -> usize {
        let texts =
            [&self.id, &self.client_id, &self.client_host].map(|text| text.len()).iter().sum::<usize>()
                + self.instance_id.as_ref().map_or(0, |id| id.len());
        MEMBER_BYTES + texts + protocols_bytes(&self.protocols) + self.assignment.len()
    }

    pub(super) fn awaits_join(&self) -> bool {
        matches!(self.waiting, Waiting::Join(_))
    }

    /// A member whose request we hold is alive by that alone, unless it is new: then nothing but the request speaks
    /// for it, and a client that has given up would stay forever.
    pub(super) fn is_excused_from_heartbeat(&self) -> bool {
        !self.is_new && self.waiting != Waiting::Nothing
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub(super) fn restart_session(&mut self, monotonic_ms: i64) {
        self.session_deadline_ms = Some(monotonic_ms.saturating_add(i64::from(self.session_timeout_ms)));
    }

    pub(super) fn supports(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|candidate| candidate.name == *protocol)
    }

    /// The metadata that the member sent for `protocol`; empty if it does not speak it.
    pub(crate) fn metadata(&self, protocol: &StrBytes) -> Bytes {
        let spoken = self.protocols.iter().find(|candidate| candidate.name == *protocol);
        spoken.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }

    /// The most wanted of the `candidates`.
    pub(super) fn vote<'a>(&self, candidates: &'a [StrBytes]) -> Option<&'a StrBytes> {
        self.protocols
            .iter()
            .find_map(|protocol| candidates.iter().find(|candidate| **candidate == protocol.name))
    }

    pub(super) fn describe(&self, protocol: Option<&StrBytes>) -> DescribedGroupMember {
        DescribedGroupMember::default()
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance_id.clone())
            .with_client_id(self.client_id.clone())
            .with_client_host(self.client_host.clone())
            .with_member_metadata(protocol.map(|protocol| self.metadata(protocol)).unwrap_or_default())
            .with_member_assignment(self.assignment.clone())
    }
}
