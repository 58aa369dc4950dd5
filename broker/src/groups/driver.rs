//! For tests: one group in virtual time, with requests that are short to write.

use bytes::Bytes;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, SyncGroupRequest,
    SyncGroupResponse, TopicName,
};
use ottla_protocol::{ErrorCode, StrBytes};

use super::MemberId;
use super::classic::Join;
use super::offsets::CommittedOffset;
use super::record::{CoordinatorRecord, Written};
use super::state::Groups;
use super::turn::{Answer, Effects, GroupConfig, Now, Ticket};
use crate::transactions::transaction::Outcome;

pub(super) const SESSION_TIMEOUT_MS: i32 = 10_000;
pub(super) const REBALANCE_TIMEOUT_MS: i32 = 30_000;

/// A subscription to topic "t", in the consumer protocol's version 0.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\0\0\0\0";

pub(super) struct Driver {
    pub(super) groups: Groups,
    pub(super) now: Now,
    pub(super) log: Vec<CoordinatorRecord>,
    pub(super) answers: Vec<Answer>,
    tickets: u64,
}

pub(super) fn config() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: 0,
        min_session_timeout_ms: 6_000,
        max_session_timeout_ms: 1_800_000,
        max_members_bytes: super::MAX_MEMBERS_BYTES,
        max_size: usize::MAX,
        offset_metadata_max_chars: 4_096,
        offsets_retention_ms: 604_800_000,
        offsets_retention_check_interval_ms: 600_000,
    }
}

pub(super) fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

pub(super) fn group_id() -> GroupId {
    GroupId(text("g"))
}

pub(super) fn topic(name: &'static str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn protocols(names: &[&'static str]) -> Vec<JoinGroupRequestProtocol> {
    let protocol = |name: &&'static str| {
        JoinGroupRequestProtocol::default()
            .with_name(text(name))
            .with_metadata(Bytes::from_static(SUBSCRIPTION))
    };
    names.iter().map(protocol).collect()
}

pub(super) fn join_request(member_id: &MemberId) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(group_id())
        .with_session_timeout_ms(SESSION_TIMEOUT_MS)
        .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
        .with_member_id(member_id.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(protocols(&["range"]))
}

pub(super) fn static_request(instance_id: &'static str) -> JoinGroupRequest {
    join_request(&MemberId::default()).with_group_instance_id(Some(text(instance_id)))
}

impl Driver {
    pub(super) fn new(config: GroupConfig) -> Driver {
        let now = Now { wall_ms: 1_700_000_000_000, monotonic_ms: 0 };
        Driver { groups: Groups::new(config), now, log: Vec::new(), answers: Vec::new(), tickets: 0 }
    }

    /// A JoinGroup as clients of today send it (v9). The ticket's number is part of the id that a new member gets.
    pub(super) fn join(&mut self, request: JoinGroupRequest) -> Ticket {
        self.join_as(request, 9)
    }

    pub(super) fn join_as(&mut self, request: JoinGroupRequest, api_version: i16) -> Ticket {
        let ticket = self.ticket();
        let join = Join {
            ticket,
            request,
            client_id: text("client"),
            client_host: text("/127.0.0.1"),
            fresh_member_id: StrBytes::from_string(format!("client-{}", ticket.0)),
            requires_known_member_id: api_version >= 4,
            supports_skipping_assignment: api_version >= 9,
        };
        let effects = self.groups.join(join, self.now);
        self.carry_out(effects);
        ticket
    }

    /// Goes through MEMBER_ID_REQUIRED; the JoinGroup that follows may wait.
    pub(super) fn join_new(&mut self) -> (MemberId, Ticket) {
        let ticket = self.join(join_request(&MemberId::default()));
        let member_id = self.joined(ticket).expect("answered at once").member_id;
        let ticket = self.join(join_request(&member_id));
        (member_id, ticket)
    }

    pub(super) fn sync(
        &mut self,
        member_id: &MemberId,
        generation_id: i32,
        assigned: &[&MemberId],
    ) -> Ticket {
        let ticket = self.ticket();
        let assign = |member_id: &&MemberId| {
            SyncGroupRequestAssignment::default()
                .with_member_id(Clone::clone(*member_id))
                .with_assignment(Bytes::copy_from_slice(member_id.as_bytes()))
        };
        let request = SyncGroupRequest::default()
            .with_group_id(group_id())
            .with_generation_id(generation_id)
            .with_member_id(member_id.clone())
            .with_assignments(assigned.iter().map(assign).collect());
        let effects = self.groups.sync(ticket, request, self.now);
        self.carry_out(effects);
        ticket
    }

    /// A group of one member, stable in generation 1.
    pub(super) fn stable_with_one(&mut self) -> MemberId {
        let (member_id, _) = self.join_new();
        self.sync(&member_id, 1, &[&member_id]);
        assert_eq!(self.state(), "Stable");
        member_id
    }

    pub(super) fn heartbeat(&mut self, member_id: &MemberId, generation_id: i32) -> Result<(), ErrorCode> {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id())
            .with_generation_id(generation_id)
            .with_member_id(member_id.clone());
        self.groups.heartbeat(&request, self.now)
    }

    pub(super) fn leave(&mut self, identity: MemberIdentity) -> i16 {
        let (responses, effects) = self.groups.leave(&group_id(), vec![identity], self.now);
        self.carry_out(effects);
        responses[0].error_code
    }

    /// Commits partition 0 of topic "t".
    pub(super) fn commit(
        &mut self,
        member_id: &MemberId,
        generation_id: i32,
        metadata: &str,
    ) -> Result<i16, ErrorCode> {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(7)
            .with_committed_metadata(Some(StrBytes::from_string(metadata.to_owned())));
        let topic =
            OffsetCommitRequestTopic::default().with_name(topic("t")).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id())
            .with_generation_id_or_member_epoch(generation_id)
            .with_member_id(member_id.clone())
            .with_topics(vec![topic]);
        let (response, records) = self.groups.commit_offsets(&request, |_, _| true, self.now)?;
        self.write(records);
        Ok(response.topics[0].partitions[0].error_code)
    }

    pub(super) fn committed(&self) -> Option<i64> {
        self.groups.group(&group_id())?.offsets.get(&topic("t"), 0).map(|committed| committed.offset)
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn advance(&mut self, ms: i64) {
        let until_ms = self.now.monotonic_ms + ms;
        while let Some(deadline_ms) =
            self.groups.next_deadline_ms().filter(|deadline_ms| *deadline_ms <= until_ms)
        {
            self.set_time(deadline_ms.max(self.now.monotonic_ms));
            let effects = self.groups.expire_members(self.now);
            self.carry_out(effects);
            let records = self.groups.expire_offsets(self.now);
            self.write(records);
        }
        self.set_time(until_ms);
    }

    /// Records that take effect when they are written.
    pub(super) fn write(&mut self, records: Vec<CoordinatorRecord>) {
        records.into_iter().for_each(|record| self.write_one(record, None));
    }

    /// Commits partition 0 of topic "t" as a part of that producer's transaction.
    pub(super) fn commit_in_transaction(&mut self, producer_id: i64, offset: i64) {
        let committed = CommittedOffset {
            offset,
            leader_epoch: -1,
            metadata: StrBytes::default(),
            commit_timestamp_ms: self.now.wall_ms,
            expire_timestamp_ms: None,
        };
        let record = CoordinatorRecord::offset(&group_id(), &topic("t"), 0, committed);
        self.write_one(record, Some(producer_id));
    }

    pub(super) fn end_transaction(&mut self, producer_id: i64, outcome: Outcome) {
        self.groups.end_transaction(0, producer_id, outcome, self.now);
    }

    fn write_one(&mut self, record: CoordinatorRecord, producer_id: Option<i64>) {
        let written = Written { log_partition: 0, log_offset: self.log.len() as i64, producer_id };
        self.log.push(record.clone());
        self.groups.apply(record, written, self.now);
    }

    pub(super) fn state(&self) -> String {
        self.groups
            .describe(&group_id())
            .map_or_else(|| "Dead".to_owned(), |group| group.group_state.to_string())
    }

    /// The answer to a JoinGroup, if there is one yet.
    pub(super) fn joined(&self, ticket: Ticket) -> Option<JoinGroupResponse> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Join(answered, response) if *answered == ticket => Some(response.clone()),
            _ => None,
        })
    }

    pub(super) fn synced(&self, ticket: Ticket) -> Option<SyncGroupResponse> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Sync(answered, response) if *answered == ticket => Some(response.clone()),
            _ => None,
        })
    }

    fn carry_out(&mut self, effects: Effects) {
        self.log.extend(effects.records);
        self.answers.extend(effects.answers);
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn set_time(&mut self, monotonic_ms: i64) {
        self.now.wall_ms += monotonic_ms - self.now.monotonic_ms;
        self.now.monotonic_ms = monotonic_ms;
    }
}
