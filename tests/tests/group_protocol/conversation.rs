//! Clients that talk to a broker about one group, and a transcript of what they are told.
//!
//! Member ids differ from broker to broker. The transcript names each by who got it and in which order: `A1`, `A2`.

use std::collections::HashMap;
use std::fmt::Write;

use bytes::Bytes;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
    TopicName,
};
use ottla_protocol::{ErrorCode, StrBytes};

use ottla_tests::wire::Wire;

/// The topic of all conversations, with one partition.
pub(crate) const TOPIC: &str = "conversed";
pub(crate) const JOIN_VERSION: i16 = 9;
pub(crate) const SYNC_VERSION: i16 = 5;

pub(crate) struct Conversation {
    bootstrap_servers: String,
    group: String,
    clients: HashMap<&'static str, Client>,
    names: HashMap<StrBytes, String>,
    transcript: Vec<String>,
}

struct Client {
    wire: Wire,
    member_id: StrBytes,
    generation_id: i32,
    ids: usize,
    /// The version of a JoinGroup or SyncGroup that waits.
    waiting_version: i16,
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Protocols by name; each with a consumer's subscription to [`TOPIC`].
pub(crate) fn protocols(names: &[&str]) -> Vec<JoinGroupRequestProtocol> {
    let mut subscription = b"\0\0\0\0\0\x01\0\x09".to_vec();
    subscription.extend_from_slice(TOPIC.as_bytes());
    subscription.extend_from_slice(&[0; 4]);
    let metadata = Bytes::from(subscription);
    let protocol = |name: &&str| {
        JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata.clone())
    };
    names.iter().map(protocol).collect()
}

impl Conversation {
    pub(crate) async fn start(bootstrap_servers: &str, group: &str) -> Conversation {
        let mut conversation = Conversation {
            bootstrap_servers: bootstrap_servers.to_owned(),
            group: group.to_owned(),
            clients: HashMap::new(),
            names: HashMap::from([(StrBytes::default(), "-".to_owned())]),
            transcript: Vec::new(),
        };
        conversation.prepare().await;
        conversation
    }

    /// Makes the topic, and waits until the coordinator of the group has loaded, which Kafka does in its own time.
    async fn prepare(&mut self) {
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let group = text(&self.group);
        let wire = &mut self.client("admin").await.wire;
        let create = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        wire.call(5, create).await;
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.clone()]);
        while wire.call(4, find.clone()).await.coordinators[0].error_code != 0 {}
        let unknown = HeartbeatRequest::default().with_group_id(GroupId(group));
        while wire.call(4, unknown.clone()).await.error_code != ErrorCode::UnknownMemberId.code() {}
    }

    pub(crate) fn transcript(self) -> Vec<String> {
        self.transcript
    }

    pub(crate) fn group_id(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    async fn client(&mut self, who: &'static str) -> &mut Client {
        if !self.clients.contains_key(who) {
            let wire = Wire::connect(&self.bootstrap_servers).await;
            let client = Client {
                wire,
                member_id: StrBytes::default(),
                generation_id: -1,
                ids: 0,
                waiting_version: 0,
            };
            self.clients.insert(who, client);
        }
        self.clients.get_mut(who).unwrap()
    }

    fn say(&mut self, line: String) {
        self.transcript.push(line);
    }

    fn name(&self, member_id: &StrBytes) -> String {
        // A new static member is told of to the leader before it has its own answer.
        self.names.get(member_id).cloned().unwrap_or_else(|| "new".to_owned())
    }

    /// The client's member id, as the broker gave it.
    pub(crate) fn member_id(&self, who: &str) -> StrBytes {
        self.clients.get(who).map(|client| client.member_id.clone()).unwrap_or_default()
    }

    /// The client starts over without an id.
    pub(crate) async fn forget(&mut self, who: &'static str) {
        self.client(who).await.member_id = StrBytes::default();
    }

    /// Joins and is answered at once; a new member goes by way of MEMBER_ID_REQUIRED.
    pub(crate) async fn join(&mut self, who: &'static str) {
        if self.client(who).await.member_id.is_empty() {
            self.join_with(who, JOIN_VERSION, |_| {}).await;
        }
        self.join_with(who, JOIN_VERSION, |_| {}).await;
    }

    /// Joins with a request that `adjust` has changed, and is answered at once.
    pub(crate) async fn join_with(
        &mut self,
        who: &'static str,
        version: i16,
        adjust: impl FnOnce(&mut JoinGroupRequest),
    ) {
        self.begin_join(who, version, adjust).await;
        self.end_join(who).await;
    }

    /// Joins; [`Conversation::end_join`] takes the answer.
    pub(crate) async fn begin_join(
        &mut self,
        who: &'static str,
        version: i16,
        adjust: impl FnOnce(&mut JoinGroupRequest),
    ) {
        let mut request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols(&["range"]));
        let client = self.client(who).await;
        request.member_id = client.member_id.clone();
        adjust(&mut request);
        client.waiting_version = version;
        client.wire.send(version, request).await;
    }

    pub(crate) async fn end_join(&mut self, who: &'static str) {
        let client = self.client(who).await;
        let version = client.waiting_version;
        let response = client.wire.receive::<JoinGroupRequest>(version).await;
        if !response.member_id.is_empty() && client.member_id != response.member_id {
            client.ids += 1;
            client.member_id = response.member_id.clone();
            let name = format!("{who}{}", client.ids);
            self.names.insert(response.member_id.clone(), name);
        }
        if response.error_code == 0 {
            self.client(who).await.generation_id = response.generation_id;
        }
        self.say_joined(who, &response);
    }

    fn say_joined(&mut self, who: &str, response: &JoinGroupResponse) {
        let mut members: Vec<String> =
            response.members.iter().map(|member| self.name(&member.member_id)).collect();
        members.sort();
        let line = format!(
            "{who} joins: {:?} member={} generation={} type={:?} protocol={:?} leader={} members={members:?} skip={}",
            ErrorCode::try_from_code(response.error_code),
            self.name(&response.member_id),
            response.generation_id,
            response.protocol_type,
            response.protocol_name,
            self.name(&response.leader),
            response.skip_assignment,
        );
        self.say(line);
    }

    /// Waits until the broker has seen that a member joins, by the state of the group.
    pub(crate) async fn until(&mut self, state: &str) {
        let request = DescribeGroupsRequest::default().with_groups(vec![self.group_id()]);
        let wire = &mut self.client("admin").await.wire;
        while wire.call(5, request.clone()).await.groups[0].group_state.as_str() != state {}
    }

    pub(crate) async fn sync(&mut self, who: &'static str, assigned: &[&str]) {
        self.begin_sync(who, SYNC_VERSION, assigned, |_| {}).await;
        self.end_sync(who).await;
    }

    pub(crate) async fn sync_with(
        &mut self,
        who: &'static str,
        version: i16,
        adjust: impl FnOnce(&mut SyncGroupRequest),
    ) {
        self.begin_sync(who, version, &[], adjust).await;
        self.end_sync(who).await;
    }

    /// Brings an assignment for the clients in `assigned`; each gets its own name.
    pub(crate) async fn begin_sync(
        &mut self,
        who: &'static str,
        version: i16,
        assigned: &[&str],
        adjust: impl FnOnce(&mut SyncGroupRequest),
    ) {
        let assignments = assigned.iter().map(|assigned| {
            SyncGroupRequestAssignment::default()
                .with_member_id(self.member_id(assigned))
                .with_assignment(Bytes::copy_from_slice(assigned.as_bytes()))
        });
        let mut request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_assignments(assignments.collect());
        if version >= 5 {
            request.protocol_type = Some(text("consumer"));
            request.protocol_name = Some(text("range"));
        }
        let client = self.client(who).await;
        request.member_id = client.member_id.clone();
        request.generation_id = client.generation_id;
        adjust(&mut request);
        client.waiting_version = version;
        client.wire.send(version, request).await;
    }

    pub(crate) async fn end_sync(&mut self, who: &'static str) {
        let client = self.client(who).await;
        let version = client.waiting_version;
        let response = client.wire.receive::<SyncGroupRequest>(version).await;
        let SyncGroupResponse { error_code, protocol_type, protocol_name, assignment, .. } = response;
        let error = ErrorCode::try_from_code(error_code);
        self.say(format!(
            "{who} syncs: {error:?} type={protocol_type:?} protocol={protocol_name:?} {assignment:?}"
        ));
    }

    pub(crate) async fn heartbeat(&mut self, who: &'static str) {
        self.heartbeat_with(who, |_| {}).await;
    }

    pub(crate) async fn heartbeat_with(
        &mut self,
        who: &'static str,
        adjust: impl FnOnce(&mut HeartbeatRequest),
    ) {
        let mut request = HeartbeatRequest::default().with_group_id(self.group_id());
        let client = self.client(who).await;
        request.member_id = client.member_id.clone();
        request.generation_id = client.generation_id;
        adjust(&mut request);
        let error_code = client.wire.call(4, request).await.error_code;
        self.say(format!("{who} beats: {:?}", ErrorCode::try_from_code(error_code)));
    }

    /// The client leaves, or removes whom `adjust` says.
    pub(crate) async fn leave(&mut self, who: &'static str, adjust: impl FnOnce(&mut MemberIdentity)) {
        let mut identity = MemberIdentity::default().with_member_id(self.member_id(who));
        adjust(&mut identity);
        let request =
            LeaveGroupRequest::default().with_group_id(self.group_id()).with_members(vec![identity]);
        let response = self.client(who).await.wire.call(5, request).await;
        let members: Vec<_> = response
            .members
            .iter()
            .map(|member| (self.name(&member.member_id), ErrorCode::try_from_code(member.error_code)))
            .collect();
        self.say(format!("{who} leaves: {:?} {members:?}", ErrorCode::try_from_code(response.error_code)));
    }

    /// Commits offset 7 of the one partition.
    pub(crate) async fn commit(&mut self, who: &'static str) {
        self.commit_with(who, 9, |_| {}).await;
    }

    pub(crate) async fn commit_with(
        &mut self,
        who: &'static str,
        version: i16,
        adjust: impl FnOnce(&mut OffsetCommitRequest),
    ) {
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(7)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("here")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partitions(vec![partition]);
        let mut request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_retention_time_ms(-1)
            .with_topics(vec![topic]);
        let client = self.client(who).await;
        request.member_id = client.member_id.clone();
        request.generation_id_or_member_epoch = client.generation_id;
        adjust(&mut request);
        let response = client.wire.call(version, request).await;
        let errors: Vec<_> = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| ErrorCode::try_from_code(partition.error_code))
            .collect();
        self.say(format!("{who} commits: {errors:?}"));
    }

    /// What is committed: all of it, or that of partitions 0 and 1.
    pub(crate) async fn committed(&mut self, all: bool) {
        let asked = OffsetFetchRequestTopics::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partition_indexes(vec![0, 1]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(self.group_id())
            .with_member_epoch(-1)
            .with_topics(if all { None } else { Some(vec![asked]) });
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        let response = self.client("admin").await.wire.call(9, request).await;
        let mut line = format!("committed: {:?}", ErrorCode::try_from_code(response.groups[0].error_code));
        for partition in response.groups[0].topics.iter().flat_map(|topic| &topic.partitions) {
            let (index, offset) = (partition.partition_index, partition.committed_offset);
            write!(line, " {index}:{offset} {:?} {}", partition.metadata, partition.error_code).unwrap();
        }
        self.say(line);
    }

    pub(crate) async fn delete_offsets(&mut self, topic: &str) {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(TopicName(text(topic)))
            .with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default().with_group_id(self.group_id()).with_topics(vec![topic]);
        let response = self.client("admin").await.wire.call(0, request).await;
        let errors: Vec<_> = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| ErrorCode::try_from_code(partition.error_code))
            .collect();
        let error = ErrorCode::try_from_code(response.error_code);
        self.say(format!("offsets are deleted: {error:?} {errors:?}"));
    }

    pub(crate) async fn delete_group(&mut self) {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![self.group_id()]);
        let response = self.client("admin").await.wire.call(2, request).await;
        self.say(format!("group is deleted: {:?}", ErrorCode::try_from_code(response.results[0].error_code)));
    }

    /// How the group is described and listed.
    pub(crate) async fn describe(&mut self, version: i16) {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![self.group_id()])
            .with_include_authorized_operations(version >= 3);
        let described = self.client("admin").await.wire.call(version, request).await.groups.remove(0);
        let mut members: Vec<_> = described
            .members
            .iter()
            .map(|member| {
                let name = self.name(&member.member_id);
                let (metadata, assignment) = (member.member_metadata.len(), &member.member_assignment);
                format!(
                    "{name} {:?} {} {} {metadata} {assignment:?}",
                    member.group_instance_id, member.client_id, member.client_host
                )
            })
            .collect();
        members.sort();
        let line = format!(
            "described: {:?} {:?} {} {:?} {:?} {members:?} {}",
            ErrorCode::try_from_code(described.error_code),
            described.error_message.map(|message| message.replace(&self.group, "<group>")),
            described.group_state,
            described.protocol_type,
            described.protocol_data,
            described.authorized_operations,
        );
        self.say(line);
        let listed = self.client("admin").await.wire.call(5, ListGroupsRequest::default()).await.groups;
        let listed = listed.into_iter().find(|group| group.group_id.as_str() == self.group);
        let listed = listed.map(|group| (group.protocol_type, group.group_state, group.group_type));
        self.say(format!("listed: {listed:?}"));
    }
}
