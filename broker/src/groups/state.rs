//! All groups of one coordinator: which there are, whose deadline is next, and what a record of the log means.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{GroupId, HeartbeatRequest, SyncGroupRequest};

use super::classic::{ClassicGroup, Join};
use super::offsets::{CommittedOffsets, LoggedOffset, PendingOffsets};
use super::record::{CoordinatorRecord, Written};
use super::turn::{Effects, GroupConfig, Now, Ticket, Turn};
use crate::detach;
use crate::transactions::transaction::Outcome;

/// The coordinator's state. Pure: time comes in with each event, records and answers go out as [`Effects`].
#[derive(Debug)]
pub(crate) struct Groups {
    config: GroupConfig,
    groups: BTreeMap<GroupId, Group>,
    /// The groups that each open transaction has offsets of, by partition of the offsets log and producer id.
    open_transactions: BTreeMap<(i32, i64), BTreeSet<GroupId>>,
    /// What all groups' members take; see [`GroupConfig::max_members_bytes`].
    members_bytes: usize,
    /// The next deadline of each group that has one, soonest first.
    deadlines: BTreeSet<(i64, GroupId)>,
    /// When expired offsets are looked for next, on the monotonic clock; `None` while there is nothing to expire.
    retention_check_ms: Option<i64>,
}

/// A group: who is in it, and how far it has read.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) membership: ClassicGroup,
    pub(crate) offsets: CommittedOffsets,
    /// Offsets of transactions that are open.
    pub(crate) pending: PendingOffsets,
    /// As it stands in [`Groups::deadlines`].
    deadline_ms: Option<i64>,
    /// Its share of [`Groups::members_bytes`].
    members_bytes: usize,
}

impl Groups {
    pub(crate) fn new(config: GroupConfig) -> Groups {
        Groups {
            config,
            groups: BTreeMap::new(),
            open_transactions: BTreeMap::new(),
            members_bytes: 0,
            deadlines: BTreeSet::new(),
            retention_check_ms: None,
        }
    }

    /// The answer may be among the effects, or come with those of a later event.
    pub(crate) fn join(&mut self, join: Join, now: Now) -> Effects {
        let mut turn = Turn::new(now, &self.config);
        let group_id = GroupId(detach::text(&join.request.group_id));
        let is_new_group = !self.groups.contains_key(&group_id);
        if is_new_group && !join.request.member_id.is_empty() {
            turn.refuse_join(join.ticket, &join.request.member_id, ErrorCode::UnknownMemberId);
            return turn.effects;
        }
        let present = self.membership(&group_id).map_or(0, |it| it.member_bytes(&join.request.member_id));
        if !self.has_room_for(join.member_bytes(), present) {
            turn.refuse_join(join.ticket, &join.request.member_id, ErrorCode::GroupMaxSizeReached);
            return turn.effects;
        }
        let group = self.groups.entry(group_id.clone()).or_insert_with(|| Group::new(&group_id, now));
        if is_new_group {
            turn.append(group.membership.metadata_record());
        }
        group.membership.join(join, &mut turn);
        let effects = expire_due(group, turn);
        self.index_deadline(&group_id);
        self.note_changes(&effects.records, now);
        effects
    }

    pub(crate) fn sync(&mut self, ticket: Ticket, request: SyncGroupRequest, now: Now) -> Effects {
        let mut turn = Turn::new(now, &self.config);
        let group_id = request.group_id.clone();
        let assigned_bytes = request.assignments.iter().map(|member| member.assignment.len()).sum();
        if !self.has_room_for(assigned_bytes, 0) {
            turn.refuse_sync(ticket, ErrorCode::GroupMaxSizeReached);
            return turn.effects;
        }
        let Some(group) = self.groups.get_mut(&group_id) else {
            turn.refuse_sync(ticket, ErrorCode::UnknownMemberId);
            return turn.effects;
        };
        group.membership.sync(ticket, request, &mut turn);
        let effects = turn.effects;
        self.index_deadline(&group_id);
        self.note_changes(&effects.records, now);
        effects
    }

    pub(crate) fn heartbeat(&mut self, request: &HeartbeatRequest, now: Now) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let outcome = group.membership.heartbeat(request, now);
        self.index_deadline(&request.group_id);
        outcome
    }

    pub(crate) fn leave(
        &mut self,
        group_id: &GroupId,
        members: Vec<MemberIdentity>,
        now: Now,
    ) -> (Vec<MemberResponse>, Effects) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return (members.into_iter().map(unknown_member).collect(), Effects::default());
        };
        let mut turn = Turn::new(now, &self.config);
        let responses = group.membership.leave(members, &mut turn);
        let effects = expire_due(group, turn);
        self.index_deadline(group_id);
        self.note_changes(&effects.records, now);
        (responses, effects)
    }

    /// Does what has come due in any group.
    pub(crate) fn expire_members(&mut self, now: Now) -> Effects {
        let mut turn = Turn::new(now, &self.config);
        let mut due = Vec::new();
        while let Some((deadline_ms, group_id)) = self.deadlines.first()
            && *deadline_ms <= now.monotonic_ms
        {
            due.push(group_id.clone());
            self.deadlines.pop_first();
        }
        for group_id in &due {
            if let Some(group) = self.groups.get_mut(group_id) {
                group.deadline_ms = None;
                group.membership.expire(&mut turn);
            }
        }
        let effects = turn.effects;
        due.iter().for_each(|group_id| self.index_deadline(group_id));
        self.note_changes(&effects.records, now);
        effects
    }

    /// The records that retention asks for, if it is time to look; sets the time of the next look.
    pub(crate) fn expire_offsets(&mut self, now: Now) -> Vec<CoordinatorRecord> {
        if self.retention_check_ms.is_none_or(|check_ms| check_ms > now.monotonic_ms) {
            return Vec::new();
        }
        let outcome = self.expired_offsets(now);
        let interval_ms = self.config.offsets_retention_check_interval_ms;
        let is_left = !outcome.records.is_empty();
        let wait_ms = outcome.next_expiry_ms.map(|expiry_ms| (expiry_ms - now.wall_ms).max(interval_ms));
        // Records that cannot be written now are tried again with the next look.
        let wait_ms = if is_left { Some(interval_ms) } else { wait_ms };
        self.retention_check_ms = wait_ms.map(|wait_ms| now.monotonic_ms.saturating_add(wait_ms));
        outcome.records
    }

    /// When one of the `expire` calls next has something to do.
    pub(crate) fn next_deadline_ms(&self) -> Option<i64> {
        let first = self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms);
        first.into_iter().chain(self.retention_check_ms).min()
    }

    /// Takes a record that is in the log into the state: one of those that only take effect when they are written, or
    /// one of an earlier run.
    pub(crate) fn apply(&mut self, record: CoordinatorRecord, written: Written, now: Now) {
        self.schedule_retention_check(now);
        match record {
            CoordinatorRecord::Offset { group, topic, partition, value: Some(committed) } => {
                let entry = self.groups.entry(group.clone()).or_insert_with(|| Group::new(&group, now));
                let offset = LoggedOffset { committed, log_offset: written.log_offset };
                match written.producer_id {
                    None => entry.offsets.put(topic, partition, offset),
                    Some(producer_id) => {
                        entry.pending.put(producer_id, topic, partition, offset);
                        let transaction = (written.log_partition, producer_id);
                        self.open_transactions.entry(transaction).or_default().insert(group);
                    }
                }
            }
            CoordinatorRecord::Offset { group, topic, partition, value: None } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.remove(&topic, partition);
                    group.pending.remove(&topic, partition);
                }
            }
            CoordinatorRecord::Group { group, value: Some(metadata) } => {
                let membership = ClassicGroup::from_record(group.clone(), metadata, now);
                self.restore_membership(&group, Some(membership));
            }
            CoordinatorRecord::Group { group, value: None } => self.restore_membership(&group, None),
        }
    }

    /// Takes a transaction marker in a partition of the offsets log into the state. What was committed there counts from
    /// now on, unless a later record did already; what was aborted is forgotten.
    pub(crate) fn end_transaction(
        &mut self,
        log_partition: i32,
        producer_id: i64,
        outcome: Outcome,
        now: Now,
    ) {
        let Some(groups) = self.open_transactions.remove(&(log_partition, producer_id)) else { return };
        self.schedule_retention_check(now);
        for group_id in groups {
            let Some(group) = self.groups.get_mut(&group_id) else { continue };
            let pending = group.pending.take(producer_id);
            if outcome == Outcome::Commit {
                group.offsets.take_later(pending);
            }
        }
    }

    /// Puts a group's membership back to what it was before an event whose records could not be written. `None`
    /// removes the group.
    pub(crate) fn restore_membership(&mut self, group_id: &GroupId, membership: Option<ClassicGroup>) {
        match membership {
            Some(membership) => match self.groups.get_mut(group_id) {
                Some(group) => group.membership = membership,
                None => {
                    self.groups.insert(group_id.clone(), Group::with(membership));
                }
            },
            None => {
                let removed = self.groups.remove(group_id);
                self.members_bytes -= removed.as_ref().map_or(0, |group| group.members_bytes);
                if let Some(deadline_ms) = removed.and_then(|group| group.deadline_ms) {
                    self.deadlines.remove(&(deadline_ms, group_id.clone()));
                }
            }
        }
        self.index_deadline(group_id);
    }

    pub(crate) fn describe(&self, group_id: &GroupId) -> Option<DescribedGroup> {
        self.membership(group_id).map(ClassicGroup::describe)
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = ListedGroup> {
        self.groups.values().map(|group| group.membership.listed())
    }

    pub(crate) fn config(&self) -> &GroupConfig {
        &self.config
    }

    pub(crate) fn membership(&self, group_id: &GroupId) -> Option<&ClassicGroup> {
        self.groups.get(group_id).map(|group| &group.membership)
    }

    pub(super) fn membership_mut(&mut self, group_id: &GroupId) -> Option<&mut ClassicGroup> {
        self.groups.get_mut(group_id).map(|group| &mut group.membership)
    }

    pub(super) fn group(&self, group_id: &GroupId) -> Option<&Group> {
        self.groups.get(group_id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// To be called whenever a group's members or next deadline may have changed.
    pub(super) fn index_deadline(&mut self, group_id: &GroupId) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let members_bytes = group.membership.members_bytes();
        self.members_bytes = self.members_bytes - group.members_bytes + members_bytes;
        group.members_bytes = members_bytes;
        let next_ms = group.membership.next_deadline_ms();
        if next_ms == group.deadline_ms {
            return;
        }
        if let Some(old_ms) = group.deadline_ms {
            self.deadlines.remove(&(old_ms, group_id.clone()));
        }
        group.deadline_ms = next_ms;
        if let Some(next_ms) = next_ms {
            self.deadlines.insert((next_ms, group_id.clone()));
        }
    }

    /// Whether `bytes` may take the place of `present_bytes`. What is not more than it was always may.
    fn has_room_for(&self, bytes: usize, present_bytes: usize) -> bool {
        let grown_bytes = bytes.saturating_sub(present_bytes);
        grown_bytes == 0 || self.members_bytes.saturating_add(grown_bytes) <= self.config.max_members_bytes
    }

    fn note_changes(&mut self, records: &[CoordinatorRecord], now: Now) {
        if !records.is_empty() {
            self.schedule_retention_check(now);
        }
    }

    fn schedule_retention_check(&mut self, now: Now) {
        let check_ms = now.monotonic_ms.saturating_add(self.config.offsets_retention_check_interval_ms);
        self.retention_check_ms =
            Some(self.retention_check_ms.map_or(check_ms, |sooner_ms| sooner_ms.min(check_ms)));
    }
}

impl Group {
    fn new(id: &GroupId, now: Now) -> Group {
        Group::with(ClassicGroup::new(id.clone(), now.wall_ms))
    }

    fn with(membership: ClassicGroup) -> Group {
        Group {
            membership,
            offsets: CommittedOffsets::default(),
            pending: PendingOffsets::default(),
            deadline_ms: None,
            members_bytes: 0,
        }
    }
}

/// A delay of zero is over at once; the event that set it also ends it.
fn expire_due(group: &mut Group, mut turn: Turn<'_>) -> Effects {
    if group.membership.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= turn.now.monotonic_ms) {
        group.membership.expire(&mut turn);
    }
    turn.effects
}

fn unknown_member(identity: MemberIdentity) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(identity.member_id)
        .with_group_instance_id(identity.group_instance_id)
        .with_error_code(ErrorCode::UnknownMemberId.code())
}
