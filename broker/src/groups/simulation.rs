//! Random histories in virtual time: clients that join, sync, commit, leave and crash, transactions that commit offsets
//! and end, and a log that is replayed after every step.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, SyncGroupRequest,
    SyncGroupResponse, TopicName, TxnOffsetCommitRequest,
};
use ottla_protocol::{ErrorCode, StrBytes};
use proptest::prelude::*;

use super::MemberId;
use super::classic::Join;
use super::offsets_log::LogEvent;
use super::record::{CoordinatorRecord, Written};
use super::state::Groups;
use super::turn::{Answer, Effects, GroupConfig, Now, Ticket};
use crate::transactions::transaction::Outcome;

const CLIENTS: usize = 5;
const SESSION_TIMEOUT_MS: i32 = 6_000;
const LONGEST_REBALANCE_TIMEOUT_MS: i64 = 10_000;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// `protocols`: bit 0 adds "range", bit 1 adds "sticky".
    Join {
        client: usize,
        protocols: u8,
    },
    Sync {
        client: usize,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
    },
    /// The client starts over and forgets what it was told; a request that waits is not taken back.
    Crash {
        client: usize,
    },
    Commit {
        client: usize,
        partition: i32,
        offset: i64,
    },
    /// A commit that is part of the transaction of one of three producers.
    CommitInTransaction {
        client: usize,
        producer_id: i64,
        partition: i32,
        offset: i64,
    },
    EndTransaction {
        producer_id: i64,
        outcome: Outcome,
    },
    /// Somebody deletes the offset of a partition.
    DeleteOffset {
        partition: i32,
    },
    Advance {
        ms: i64,
    },
    /// Time passes in which one client does nothing but send heartbeats.
    Linger {
        client: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), 1..4_u8).prop_map(|(client, protocols)| Step::Join { client, protocols }),
        6 => client.clone().prop_map(|client| Step::Sync { client }),
        3 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        1 => client.clone().prop_map(|client| Step::Crash { client }),
        2 => (client.clone(), 0..3, 0..100_i64).prop_map(|(client, partition, offset)| Step::Commit { client, partition, offset }),
        2 => (client.clone(), 0..3_i64, 0..3, 0..100_i64).prop_map(|(client, producer_id, partition, offset)| {
            Step::CommitInTransaction { client, producer_id, partition, offset }
        }),
        2 => (0..3_i64, prop_oneof![Just(Outcome::Commit), Just(Outcome::Abort)])
            .prop_map(|(producer_id, outcome)| Step::EndTransaction { producer_id, outcome }),
        1 => (0..3).prop_map(|partition| Step::DeleteOffset { partition }),
        3 => (1..8_000_i64).prop_map(|ms| Step::Advance { ms }),
        1 => client.clone().prop_map(|client| Step::Linger { client }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn any_history_keeps_the_promises(steps in proptest::collection::vec(step(), 1..120), delay_ms in 0..2_000_i64) {
        let mut world = World::new(config(delay_ms));
        for step in steps {
            world.take(step);
            world.check_replay();
        }
        world.take(Step::Advance { ms: 2 * LONGEST_REBALANCE_TIMEOUT_MS });
        prop_assert!(world.open.is_empty(), "never answered: {:?}", world.open);
    }
}

#[test]
fn three_groups_form_at_once() {
    let mut worlds = [0, 1, 2].map(|_| World::new(config(0)));
    for round in 0..4 {
        for client in 0..CLIENTS {
            worlds.iter_mut().for_each(|world| world.take(Step::Join { client, protocols: 1 }));
        }
        for client in 0..CLIENTS {
            worlds.iter_mut().for_each(|world| world.take(Step::Sync { client }));
        }
        worlds.iter_mut().for_each(|world| world.take(Step::Advance { ms: 100 + round }));
    }
    for world in &mut worlds {
        let groups = world.groups.listed().map(|group| group.group_state.to_string()).collect::<Vec<_>>();
        assert_eq!(groups, ["Stable"]);
        assert_eq!(world.clients.iter().filter(|client| client.assignment.is_some()).count(), CLIENTS);
    }
}

fn config(initial_rebalance_delay_ms: i64) -> GroupConfig {
    GroupConfig { initial_rebalance_delay_ms, ..super::driver::config() }
}

/// The coordinator's state, its log, and the clients that use it.
struct World {
    groups: Groups,
    log: Vec<LogEvent>,
    now: Now,
    clients: Vec<Client>,
    /// Requests without an answer yet.
    open: BTreeMap<Ticket, Request>,
    tickets: u64,
    /// Whose id it is, for every id ever given out.
    owners: HashMap<MemberId, usize>,
    /// What the members of each generation were told: protocol, and the client that leads.
    generations: HashMap<i32, (Option<StrBytes>, usize)>,
}

#[derive(Default)]
struct Client {
    member_id: MemberId,
    generation_id: Option<i32>,
    /// For a leader: whom to assign to.
    led: Option<Vec<MemberId>>,
    assignment: Option<Bytes>,
}

#[derive(Debug)]
struct Request {
    client: usize,
    generation_id: i32,
    since_ms: i64,
}

impl World {
    fn new(config: GroupConfig) -> World {
        World {
            groups: Groups::new(config),
            log: Vec::new(),
            now: Now { wall_ms: 1_700_000_000_000, monotonic_ms: 0 },
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            open: BTreeMap::new(),
            tickets: 0,
            owners: HashMap::new(),
            generations: HashMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join { client, protocols } => self.join(client, protocols),
            Step::Sync { client } => self.sync(client),
            Step::Heartbeat { client } => self.heartbeat(client),
            Step::Leave { client } => self.leave(client),
            Step::Crash { client } => self.clients[client] = Client::default(),
            Step::Commit { client, partition, offset } => self.commit(client, partition, offset),
            Step::CommitInTransaction { client, producer_id, partition, offset } => {
                self.commit_in_transaction(client, producer_id, partition, offset);
            }
            Step::EndTransaction { producer_id, outcome } => self.end_transaction(producer_id, outcome),
            Step::DeleteOffset { partition } => {
                if let Ok(Some(tombstone)) = self.groups.delete_offset(&group_id(), &topic_name(), partition)
                {
                    self.apply(vec![tombstone], None);
                }
            }
            Step::Advance { ms } => self.advance(ms),
            Step::Linger { client } => self.linger(client),
        }
    }

    fn join(&mut self, client: usize, protocols: u8) {
        let ticket = self.ticket(client, -1);
        let request = JoinGroupRequest::default()
            .with_group_id(group_id())
            .with_session_timeout_ms(SESSION_TIMEOUT_MS)
            .with_rebalance_timeout_ms(LONGEST_REBALANCE_TIMEOUT_MS as i32)
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client))
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(spoken(protocols));
        let fresh_member_id = StrBytes::from_string(format!("client-{client}-{}", ticket.0));
        self.owners.insert(fresh_member_id.clone(), client);
        let join = Join {
            ticket,
            request,
            client_id: StrBytes::from_static_str("client"),
            client_host: StrBytes::from_static_str("/127.0.0.1"),
            fresh_member_id,
            // The later half of the clients are old ones.
            requires_known_member_id: client < CLIENTS / 2,
            supports_skipping_assignment: client < CLIENTS / 2,
        };
        let effects = self.groups.join(join, self.now);
        self.settle(effects);
    }

    fn sync(&mut self, client: usize) {
        let Some(generation_id) = self.clients[client].generation_id else { return };
        let ticket = self.ticket(client, generation_id);
        let assignments = self.clients[client].led.iter().flatten().map(|member_id| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member_id.clone())
                .with_assignment(assignment(generation_id, self.owners[member_id]))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(group_id())
            .with_generation_id(generation_id)
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client))
            .with_assignments(assignments.collect());
        let effects = self.groups.sync(ticket, request, self.now);
        self.settle(effects);
    }

    fn heartbeat(&mut self, client: usize) {
        let Some(generation_id) = self.clients[client].generation_id else { return };
        let request = HeartbeatRequest::default()
            .with_group_id(group_id())
            .with_generation_id(generation_id)
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client));
        if matches!(
            self.groups.heartbeat(&request, self.now),
            Err(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId)
        ) {
            self.clients[client] = Client::default();
        }
    }

    fn leave(&mut self, client: usize) {
        let identity = MemberIdentity::default()
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client));
        let (responses, effects) = self.groups.leave(&group_id(), vec![identity], self.now);
        assert_eq!(responses.len(), 1);
        self.settle(effects);
        self.clients[client] = Client::default();
    }

    fn commit(&mut self, client: usize, partition: i32, offset: i64) {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset);
        let topic =
            OffsetCommitRequestTopic::default().with_name(topic_name()).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id())
            .with_generation_id_or_member_epoch(self.clients[client].generation_id.unwrap_or(-1))
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client))
            .with_topics(vec![topic]);
        if let Ok((_, records)) = self.groups.commit_offsets(&request, |_, _| true, self.now) {
            self.apply(records, None);
        }
    }

    /// Until the marker comes, nobody sees what is committed, and whoever wants a stable offset waits for it.
    fn commit_in_transaction(&mut self, client: usize, producer_id: i64, partition: i32, offset: i64) {
        let committed = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(topic_name()).with_partitions(vec![committed]);
        let request = TxnOffsetCommitRequest::default()
            .with_group_id(group_id())
            .with_generation_id(self.clients[client].generation_id.unwrap_or(-1))
            .with_member_id(self.clients[client].member_id.clone())
            .with_group_instance_id(instance_id(client))
            .with_topics(vec![topic]);
        let decided = self.groups.commit_offsets_in_transaction(&request, |_, _| true, self.now);
        let Ok((_, records)) = decided else { return };
        let before = self.fetch(partition, false);
        self.apply(records, Some(producer_id));
        assert_eq!(self.fetch(partition, false), before);
        assert_eq!(self.fetch(partition, true), (-1, ErrorCode::UnstableOffsetCommit.code()));
    }

    fn end_transaction(&mut self, producer_id: i64, outcome: Outcome) {
        let before: Vec<_> = (0..3).map(|partition| self.fetch(partition, false)).collect();
        self.log.push(LogEvent::EndOfTransaction { log_partition: 0, producer_id, outcome });
        self.groups.end_transaction(0, producer_id, outcome, self.now);
        if outcome == Outcome::Abort {
            let after: Vec<_> = (0..3).map(|partition| self.fetch(partition, false)).collect();
            assert_eq!(before, after);
        }
    }

    fn fetch(&self, partition: i32, require_stable: bool) -> (i64, i16) {
        let asked = OffsetFetchRequestTopics::default()
            .with_name(topic_name())
            .with_partition_indexes(vec![partition]);
        let fetched = self.groups.fetch_offsets(&group_id(), Some(&[asked]), require_stable);
        let fetched = &fetched[0].partitions[0];
        (fetched.committed_offset, fetched.error_code)
    }

    fn apply(&mut self, records: Vec<CoordinatorRecord>, producer_id: Option<i64>) {
        for record in records {
            let written = self.append(record.clone(), producer_id);
            self.groups.apply(record, written, self.now);
        }
    }

    fn append(&mut self, record: CoordinatorRecord, producer_id: Option<i64>) -> Written {
        let written = Written { log_partition: 0, log_offset: self.log.len() as i64, producer_id };
        self.log.push(LogEvent::Record(record, written));
        written
    }

    fn advance(&mut self, ms: i64) {
        let until_ms = self.now.monotonic_ms + ms;
        while let Some(deadline_ms) =
            self.groups.next_deadline_ms().filter(|deadline_ms| *deadline_ms <= until_ms)
        {
            self.set_time(deadline_ms);
            let effects = self.groups.expire_members(self.now);
            self.settle(effects);
            let records = self.groups.expire_offsets(self.now);
            assert!(records.is_empty(), "nothing is old enough to expire");
            assert!(
                self.groups.next_deadline_ms().is_none_or(|next_ms| next_ms > deadline_ms),
                "the timer would spin"
            );
        }
        self.set_time(until_ms);
        for request in self.open.values() {
            let waited_ms = until_ms - request.since_ms;
            assert!(
                waited_ms <= 2 * LONGEST_REBALANCE_TIMEOUT_MS,
                "{request:?} has waited for {waited_ms} ms"
            );
        }
    }

    fn linger(&mut self, client: usize) {
        for _ in 0..8 {
            self.heartbeat(client);
            self.advance(i64::from(SESSION_TIMEOUT_MS) / 2);
        }
    }

    fn set_time(&mut self, monotonic_ms: i64) {
        self.now.wall_ms += monotonic_ms - self.now.monotonic_ms;
        self.now.monotonic_ms = monotonic_ms;
    }

    fn ticket(&mut self, client: usize, generation_id: i32) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.open.insert(ticket, Request { client, generation_id, since_ms: self.now.monotonic_ms });
        ticket
    }

    fn settle(&mut self, effects: Effects) {
        for record in effects.records {
            self.append(record, None);
        }
        for answer in effects.answers {
            match answer {
                Answer::Join(ticket, response) => {
                    let request = self.open.remove(&ticket).expect("answered once, and only if it was asked");
                    self.joined(&request, response);
                }
                Answer::Sync(ticket, response) => {
                    let request = self.open.remove(&ticket).expect("answered once, and only if it was asked");
                    self.synced(&request, response);
                }
            }
        }
    }

    fn joined(&mut self, request: &Request, response: JoinGroupResponse) {
        match ottla_protocol::ErrorCode::try_from_code(response.error_code) {
            None => self.check_generation(request.client, response),
            Some(ErrorCode::MemberIdRequired) => self.clients[request.client].member_id = response.member_id,
            Some(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => {
                self.clients[request.client] = Client::default();
            }
            Some(ErrorCode::RebalanceInProgress | ErrorCode::InconsistentGroupProtocol) => {}
            Some(other) => panic!("JoinGroup was answered with {other:?}"),
        }
    }

    /// All members of a generation were told the same, and the leader was told of all of them.
    fn check_generation(&mut self, client: usize, response: JoinGroupResponse) {
        let told = (response.protocol_name.clone(), self.owners[&response.leader]);
        let known = self.generations.entry(response.generation_id).or_insert_with(|| told.clone());
        assert_eq!(*known, told, "generation {}", response.generation_id);
        let newest = self.generations.keys().max();
        assert_eq!(newest, Some(&response.generation_id), "an older generation was announced");
        let leads = response.leader == response.member_id && !response.skip_assignment;
        self.clients[client] = Client {
            led: leads.then(|| response.members.into_iter().map(|member| member.member_id).collect()),
            member_id: response.member_id,
            generation_id: Some(response.generation_id),
            assignment: None,
        };
    }

    fn synced(&mut self, request: &Request, response: SyncGroupResponse) {
        if response.error_code == 0 {
            assert_eq!(response.assignment, assignment(request.generation_id, request.client));
            self.clients[request.client].assignment = Some(response.assignment);
        }
    }

    /// A coordinator that starts now, from the log, knows what this one knows.
    fn check_replay(&self) {
        let mut replayed = Groups::new(config(0));
        for event in self.log.iter().cloned() {
            match event {
                LogEvent::Record(record, written) => replayed.apply(record, written, self.now),
                LogEvent::EndOfTransaction { log_partition, producer_id, outcome } => {
                    replayed.end_transaction(log_partition, producer_id, outcome, self.now);
                }
            }
        }
        let offsets = |groups: &Groups| {
            groups.group(&group_id()).map(|group| (group.offsets.clone(), group.pending.clone()))
        };
        assert_eq!(offsets(&self.groups), offsets(&replayed));
        let Some(live) = self.groups.membership(&group_id()) else { return };
        if live.has_protocol_type() && (live.is_stable() || live.is_empty()) {
            let loaded = replayed.membership(&group_id()).expect("the log has the group");
            assert_eq!(live.metadata_record(), loaded.metadata_record());
            assert_eq!(live.state_name(), loaded.state_name());
        }
    }
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

fn group_id() -> GroupId {
    GroupId(StrBytes::from_static_str("g"))
}

/// Every other client is a static member.
fn instance_id(client: usize) -> Option<StrBytes> {
    (client % 2 == 1).then(|| StrBytes::from_string(format!("instance-{client}")))
}

fn assignment(generation_id: i32, client: usize) -> Bytes {
    Bytes::from(format!("generation {generation_id}, client {client}"))
}

fn spoken(protocols: u8) -> Vec<JoinGroupRequestProtocol> {
    // A subscription to topic "t", in the consumer protocol's version 0.
    let metadata = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0");
    let names = [(1, "range"), (2, "sticky")].into_iter().filter(|(bit, _)| protocols & bit != 0);
    let protocol = |(_, name)| {
        JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(name))
            .with_metadata(metadata.clone())
    };
    names.map(protocol).collect()
}
