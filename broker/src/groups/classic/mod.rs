//! The classic group protocol: clients assign partitions among themselves, the coordinator only brings them together.
//!
//! A pure state machine, in the image of Kafka's `ClassicGroup` and `GroupMetadataManager`. A request or a deadline
//! comes in with its time ([`Turn`]); records and answers come out ([`super::turn::Effects`]). One file per event:
//! `join`, `sync`, `heartbeat`, `leave`, `expire`; `rebalance` is what they have in common.
//!
//! ```text
//!             first member joins                all have joined, or time is up
//!   Empty ─────────────────────▶ PreparingRebalance ─────────────────▶ CompletingRebalance
//!     ▲                             ▲     │  ▲                                 │  the leader has assigned
//!     └──── nobody joined ──────────┼─────┘  └── a member left or changed ─────┤
//!                                   └────────── likewise ───── Stable ◀────────┘
//! ```
//! Kafka's fifth state, Dead, is that of a group which is not in the map.

mod expire;
mod heartbeat;
mod join;
mod leave;
mod member;
mod metadata;
mod protocols;
mod rebalance;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{GroupId, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};

pub(crate) use join::Join;
use member::{ENTRY_BYTES, Member, Waiting};

use super::MemberId;
use super::turn::Turn;

/// `protocol.type` of the groups that consumers form.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// One group: its members, and how far they are in agreeing on who does what.
#[derive(Debug, Clone)]
pub(crate) struct ClassicGroup {
    id: GroupId,
    phase: Phase,
    /// When the phase was entered, in wall-clock milliseconds; `None` for a group from an old record without it.
    phase_since_ms: Option<i64>,
    generation_id: i32,
    /// `None` for a simple group: one that only keeps offsets.
    protocol_type: Option<StrBytes>,
    protocol_name: Option<StrBytes>,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    /// Ids given out with MEMBER_ID_REQUIRED that have not joined yet, each with the time when it is forgotten.
    pending_members: BTreeMap<MemberId, i64>,
    /// What the members subscribe to, where all of them say it in the consumer protocol's terms.
    subscribed_topics: Option<BTreeSet<TopicName>>,
}

#[derive(Debug, Clone)]
enum Phase {
    Empty,
    PreparingRebalance(Joining),
    CompletingRebalance(Syncing),
    Stable(Syncing),
}

/// Members are asked to join; those that have not by the deadline are dropped.
#[derive(Debug, Clone)]
struct Joining {
    deadline_ms: i64,
    /// Set on the way out of Empty: the group waits out a delay for more members, not for those it has.
    initial: Option<InitialDelay>,
}

#[derive(Debug, Clone)]
struct InitialDelay {
    delay_ms: i64,
    /// How far later joiners may still extend the delay.
    remaining_ms: i64,
    new_member_added: bool,
}

/// Members that know the generation and have not asked for their assignment; dropped at the deadline.
#[derive(Debug, Clone, Default)]
struct Syncing {
    pending: BTreeSet<MemberId>,
    deadline_ms: i64,
}

impl ClassicGroup {
    pub(crate) fn new(id: GroupId, wall_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            phase: Phase::Empty,
            phase_since_ms: Some(wall_ms),
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            subscribed_topics: None,
        }
    }

    /// The state's name, as Kafka's tools print it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance(_) => "PreparingRebalance",
            Phase::CompletingRebalance(_) => "CompletingRebalance",
            Phase::Stable(_) => "Stable",
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    pub(crate) fn is_stable(&self) -> bool {
        matches!(self.phase, Phase::Stable(_))
    }

    pub(crate) fn phase_since_ms(&self) -> Option<i64> {
        self.phase_since_ms
    }

    pub(crate) fn has_protocol_type(&self) -> bool {
        self.protocol_type.is_some()
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|kind| kind.as_str() == CONSUMER_PROTOCOL_TYPE)
    }

    pub(crate) fn knows_subscribed_topics(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// Consumers whose subscription cannot be read count as subscribed to everything.
    pub(crate) fn is_subscribed_to(&self, topic: &TopicName) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(crate) fn describe(&self) -> DescribedGroup {
        let protocol = if self.is_stable() { self.protocol_name.as_ref() } else { None };
        DescribedGroup::default()
            .with_group_id(self.id.clone())
            .with_group_state(StrBytes::from_static_str(self.state_name()))
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_protocol_data(protocol.cloned().unwrap_or_default())
            .with_members(self.members.values().map(|member| member.describe(protocol)).collect())
    }

    pub(crate) fn listed(&self) -> ListedGroup {
        ListedGroup::default()
            .with_group_id(self.id.clone())
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_group_state(StrBytes::from_static_str(self.state_name()))
            .with_group_type(StrBytes::from_static_str("classic"))
    }

    /// Whether an offset commit with these credentials is accepted.
    ///
    /// A negative generation comes from an admin client or from a consumer that assigns itself: good while nobody
    /// else is in the group.
    pub(crate) fn check_offset_commit(
        &self,
        member_id: &MemberId,
        instance_id: Option<&StrBytes>,
        generation_id: i32,
    ) -> Result<(), ErrorCode> {
        if generation_id < 0 && self.is_empty() {
            return Ok(());
        }
        if generation_id >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.check_member_of_generation(member_id, instance_id, generation_id)?;
        } else if !self.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        match self.phase {
            Phase::CompletingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// As [`ClassicGroup::check_offset_commit`], for the offsets of a transaction (KIP-447). A producer that names no
    /// member is from before that; it is believed. During a rebalance a member's transaction may still be committed.
    pub(crate) fn check_offset_commit_in_transaction(
        &self,
        member_id: &MemberId,
        instance_id: Option<&StrBytes>,
        generation_id: i32,
    ) -> Result<(), ErrorCode> {
        let names_member = generation_id >= 0 || !member_id.is_empty() || instance_id.is_some();
        if !names_member || (generation_id < 0 && self.is_empty()) {
            return Ok(());
        }
        self.check_member_of_generation(member_id, instance_id, generation_id)
    }

    fn check_member_of_generation(
        &self,
        member_id: &MemberId,
        instance_id: Option<&StrBytes>,
        generation_id: i32,
    ) -> Result<(), ErrorCode> {
        self.check_member(member_id, instance_id)?;
        if generation_id == self.generation_id { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// A static member is known by its instance id; whoever comes with an older member id is fenced (KIP-345).
    fn check_member(&self, member_id: &MemberId, instance_id: Option<&StrBytes>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            let current = self.static_member_id(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if current != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    fn static_member_id(&self, instance_id: &StrBytes) -> Option<&MemberId> {
        self.members
            .values()
            .find(|member| member.instance_id.as_ref() == Some(instance_id))
            .map(|member| &member.id)
    }

    /// What the group and its members take in memory.
    pub(crate) fn members_bytes(&self) -> usize {
        let members = self.members.values().map(Member::held_bytes);
        let pending = self.pending_members.keys().map(|id| ENTRY_BYTES + id.len());
        let subscribed = self.subscribed_topics.iter().flatten().map(|topic| ENTRY_BYTES + topic.len());
        ENTRY_BYTES + 2 * self.id.len() + members.chain(pending).chain(subscribed).sum::<usize>()
    }

    /// What one member takes; nothing if there is none.
    pub(crate) fn member_bytes(&self, member_id: &MemberId) -> usize {
        self.members.get(member_id).map_or(0, Member::held_bytes)
    }

    fn is_leader(&self, member_id: &MemberId) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    fn has_all_members_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(Member::awaits_join)
    }

    fn members_awaiting_join(&self) -> usize {
        self.members.values().filter(|member| member.awaits_join()).count()
    }

    /// The longest of the members' rebalance timeouts.
    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    fn enter(&mut self, phase: Phase, turn: &Turn<'_>) {
        self.phase = phase;
        self.phase_since_ms = Some(turn.now.wall_ms);
    }

    fn insert(&mut self, member: Member) {
        self.pending_members.remove(&member.id);
        self.leader.get_or_insert_with(|| member.id.clone());
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out. A request of its that was waiting is answered, so that a client which is still there
    /// learns that it has to join anew.
    fn remove(&mut self, member_id: &MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.members.remove(member_id) else { return };
        match member.waiting {
            Waiting::Nothing => {}
            Waiting::Join(ticket) => {
                turn.refuse_join(ticket, &MemberId::default(), ErrorCode::UnknownMemberId);
            }
            Waiting::Sync(ticket) => turn.refuse_sync(ticket, ErrorCode::UnknownMemberId),
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        if let Phase::CompletingRebalance(syncing) | Phase::Stable(syncing) = &mut self.phase {
            syncing.pending.remove(member_id);
        }
    }
}
