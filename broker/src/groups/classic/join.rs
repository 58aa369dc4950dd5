//! A JoinGroup request: a member enters, comes back, or changes what it can do.

use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::member::{MEMBER_BYTES, Member, Waiting, protocols_bytes};
use super::{ClassicGroup, Phase};
use crate::detach;
use crate::groups::MemberId;
use crate::groups::turn::{Ticket, Turn};

/// How long a member that does not know its id yet may wait for its first rebalance. The same as in Kafka: its client
/// cannot send heartbeats, and if it has gone, nothing else would ever tell.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 300_000;

/// Member ids that a group holds for clients which have not come back with them. Kafka has no bound; without one, a
/// client that never comes back fills the memory.
const MAX_PENDING_MEMBERS: usize = 10_000;

/// Protocols that a member may list. Real clients list one to five; finding what all members speak compares all with
/// all.
const MAX_PROTOCOLS: usize = 100;

/// As much of a client's reason as is logged; clients that keep to KIP-800 send no more.
const MAX_REASON_CHARS: usize = 255;

/// A JoinGroup request, with what its transport and version say about it.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) ticket: Ticket,
    pub(crate) request: JoinGroupRequest,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    /// The id that the member gets if it needs one; unique.
    pub(crate) fresh_member_id: MemberId,
    /// v4 and later: a new member is told its id first and joins with it (KIP-394).
    pub(crate) requires_known_member_id: bool,
    /// v9 and later: a leader can be told that nothing has to be assigned (KIP-814).
    pub(crate) supports_skipping_assignment: bool,
}

impl Join {
    /// What the member that comes of it takes in memory, at most.
    pub(crate) fn member_bytes(&self) -> usize {
        let is_known = !self.request.member_id.is_empty();
        let id = if is_known { &self.request.member_id } else { &self.fresh_member_id };
        let texts = [id, &self.client_id, &self.client_host];
        let instance_bytes = self.request.group_instance_id.as_ref().map_or(0, |id| id.len());
        MEMBER_BYTES
            + texts.map(|text| text.len()).iter().sum::<usize>()
            + instance_bytes
            + protocols_bytes(&self.request.protocols)
    }
}

impl ClassicGroup {
    pub(crate) fn join(&mut self, join: Join, turn: &mut Turn<'_>) {
        let member_id = &join.request.member_id;
        if !self.has_room_for(member_id, turn) {
            self.remove(member_id, turn);
            turn.refuse_join(join.ticket, &MemberId::default(), ErrorCode::GroupMaxSizeReached);
        } else if join.request.protocols.len() > MAX_PROTOCOLS
            || !self.supports(&join.request.protocol_type, &join.request.protocols)
        {
            turn.refuse_join(join.ticket, member_id, ErrorCode::InconsistentGroupProtocol);
        } else if member_id.is_empty() {
            self.join_unknown(join, turn);
        } else if self.pending_members.contains_key(member_id) && join.request.group_instance_id.is_none() {
            let member_id = detach::text(member_id);
            self.add_member(member_id, join, turn);
        } else {
            self.rejoin(&join, turn);
        }
    }

    /// While members join, those already waiting count, so that a group above the limit shrinks to it.
    fn has_room_for(&self, member_id: &MemberId, turn: &Turn<'_>) -> bool {
        let member = self.members.get(member_id);
        match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance(_) => {
                member.is_some_and(Member::awaits_join) || self.members_awaiting_join() < turn.config.max_size
            }
            Phase::CompletingRebalance(_) | Phase::Stable(_) => {
                member.is_some() || self.members.len() < turn.config.max_size
            }
        }
    }

    fn join_unknown(&mut self, join: Join, turn: &mut Turn<'_>) {
        let member_id = join.fresh_member_id.clone();
        let known_instance =
            join.request.group_instance_id.as_ref().and_then(|id| self.static_member_id(id)).cloned();
        if let Some(old_id) = known_instance {
            self.replace_static_member(&old_id, &member_id, join, turn);
        } else if join.request.group_instance_id.is_some() || !join.requires_known_member_id {
            self.add_member(member_id, join, turn);
        } else if self.pending_members.len() >= MAX_PENDING_MEMBERS {
            turn.refuse_join(join.ticket, &MemberId::default(), ErrorCode::GroupMaxSizeReached);
        } else {
            let forgotten_ms = turn.now.monotonic_ms + i64::from(join.request.session_timeout_ms);
            self.pending_members.insert(member_id.clone(), forgotten_ms);
            turn.refuse_join(join.ticket, &member_id, ErrorCode::MemberIdRequired);
        }
    }

    fn add_member(&mut self, member_id: MemberId, join: Join, turn: &mut Turn<'_>) {
        let Join { ticket, request, client_id, client_host, .. } = join;
        let reason = join_reason("a member joins", &request);
        if self.members.is_empty() {
            self.protocol_type = Some(detach::text(&request.protocol_type));
        }
        if let Phase::PreparingRebalance(joining) = &mut self.phase
            && let Some(initial) = &mut joining.initial
        {
            initial.new_member_added = true;
        }
        self.insert(Member {
            id: member_id,
            instance_id: request.group_instance_id.as_ref().map(detach::text),
            client_id: detach::text(&client_id),
            client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: kept(&request.protocols),
            assignment: bytes::Bytes::new(),
            waiting: Waiting::Join(ticket),
            is_new: true,
            session_deadline_ms: Some(turn.now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS),
        });
        self.rebalance_or_complete_join(&reason, turn);
    }

    fn rejoin(&mut self, join: &Join, turn: &mut Turn<'_>) {
        let request = &join.request;
        let known = self.check_member(&request.member_id, request.group_instance_id.as_ref());
        if let Err(error) = known {
            return turn.refuse_join(join.ticket, &request.member_id, error);
        }
        let is_changed =
            self.members.get(&request.member_id).is_some_and(|it| it.protocols != request.protocols);
        let rebalances = match self.phase {
            // A member of an empty group does not exist; it is told to start over.
            Phase::Empty => {
                return turn.refuse_join(join.ticket, &request.member_id, ErrorCode::UnknownMemberId);
            }
            Phase::PreparingRebalance(_) => true,
            // The same metadata again: the first answer was lost, so it is given once more.
            Phase::CompletingRebalance(_) => is_changed,
            // A leader that joins again has seen something the coordinator cannot see, such as new partitions.
            Phase::Stable(_) => is_changed || self.is_leader(&request.member_id),
        };
        if rebalances {
            let reason = join_reason("a member joins again", request);
            self.update_member(&join.request, join.ticket, turn);
            self.rebalance_or_complete_join(&reason, turn);
        } else {
            let response = self.join_response(&join.request.member_id);
            turn.answer_join(join.ticket, response);
        }
    }

    /// A static member came back under a new id (KIP-345). It takes over the old one's place and assignment; nobody
    /// else notices, unless what it speaks changes what the group speaks.
    fn replace_static_member(
        &mut self,
        old_id: &MemberId,
        new_id: &MemberId,
        join: Join,
        turn: &mut Turn<'_>,
    ) {
        let previous_leader = self.leader.clone();
        self.take_over(old_id, new_id.clone(), turn);
        let mut request = join.request;
        request.member_id = new_id.clone();
        let reason = join_reason("a static member is replaced", &request);
        self.update_member(&request, join.ticket, turn);
        match self.phase {
            Phase::Stable(_) if self.select_protocol() == self.protocol_name => {
                turn.append(self.metadata_record());
                let response =
                    self.takeover_response(new_id, previous_leader, join.supports_skipping_assignment);
                self.settle_join(new_id, response, turn);
            }
            // The leader may already have been told the old id, and would assign to a member that is gone.
            Phase::Stable(_) | Phase::CompletingRebalance(_) => self.prepare_rebalance(&reason, turn),
            Phase::PreparingRebalance(_) | Phase::Empty => self.complete_join_if_all_joined(turn),
        }
    }

    fn take_over(&mut self, old_id: &MemberId, new_id: MemberId, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        match std::mem::replace(&mut member.waiting, Waiting::Nothing) {
            Waiting::Nothing => {}
            Waiting::Join(ticket) => turn.refuse_join(ticket, old_id, ErrorCode::FencedInstanceId),
            Waiting::Sync(ticket) => turn.refuse_sync(ticket, ErrorCode::FencedInstanceId),
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        if let Phase::CompletingRebalance(syncing) | Phase::Stable(syncing) = &mut self.phase {
            syncing.pending.remove(old_id);
        }
        member.id = new_id.clone();
        member.is_new = false;
        member.restart_session(turn.now.monotonic_ms);
        self.members.insert(new_id, member);
    }

    /// A client before v9 cannot be told to skip the assignment. It gets the old leader's id, so that it does not
    /// take itself for the leader and assign anew.
    fn takeover_response(
        &self,
        member_id: &MemberId,
        previous_leader: Option<MemberId>,
        skips: bool,
    ) -> JoinGroupResponse {
        if skips {
            return self.join_response(member_id).with_skip_assignment(self.is_leader(member_id));
        }
        self.join_response(member_id)
            .with_members(Vec::new())
            .with_leader(previous_leader.unwrap_or_default())
    }

    fn update_member(&mut self, request: &JoinGroupRequest, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(&request.member_id) else { return };
        member.protocols = kept(&request.protocols);
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        // The client has given up on a request that it repeats; it is answered for the sake of its connection.
        match std::mem::replace(&mut member.waiting, Waiting::Join(ticket)) {
            Waiting::Nothing => {}
            Waiting::Join(earlier) => {
                turn.refuse_join(earlier, &request.member_id, ErrorCode::RebalanceInProgress);
            }
            Waiting::Sync(earlier) => turn.refuse_sync(earlier, ErrorCode::RebalanceInProgress),
        }
    }

    /// Answers a member's waiting JoinGroup.
    pub(super) fn settle_join(
        &mut self,
        member_id: &MemberId,
        response: JoinGroupResponse,
        turn: &mut Turn<'_>,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Waiting::Join(ticket) = member.waiting {
            member.waiting = Waiting::Nothing;
            turn.answer_join(ticket, response);
        }
    }

    /// The current generation as `member_id` is to know it: the leader also gets everybody's metadata.
    pub(super) fn join_response(&self, member_id: &MemberId) -> JoinGroupResponse {
        let members = if self.is_leader(member_id) { self.members_for_leader() } else { Vec::new() };
        JoinGroupResponse::default()
            .with_generation_id(self.generation_id)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol_name.clone())
            .with_leader(self.leader.clone().unwrap_or_default())
            .with_member_id(member_id.clone())
            .with_members(members)
    }

    fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let Some(protocol) = &self.protocol_name else { return Vec::new() };
        let for_leader = |member: &Member| {
            JoinGroupResponseMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance_id.clone())
                .with_metadata(member.metadata(protocol))
        };
        self.members.values().map(for_leader).collect()
    }
}

fn kept(protocols: &[JoinGroupRequestProtocol]) -> Vec<JoinGroupRequestProtocol> {
    let keep = |protocol: &JoinGroupRequestProtocol| {
        JoinGroupRequestProtocol::default()
            .with_name(detach::text(&protocol.name))
            .with_metadata(detach::bytes(&protocol.metadata))
    };
    protocols.iter().map(keep).collect()
}

/// For the log: what happens, and what the client says about it (KIP-800).
fn join_reason(what: &str, request: &JoinGroupRequest) -> String {
    let said = request.reason.as_ref().map_or("not provided", StrBytes::as_str);
    format!("{what}; client reason: {}", said.chars().take(MAX_REASON_CHARS).collect::<String>())
}
