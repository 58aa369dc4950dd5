//! One member of a consumer group.

use std::time::Duration;

use ottla_protocol::ErrorCode;

use super::consumer_protocol::TopicPartitions;
use super::join_group::Joined;
use crate::client::Client;
use crate::cluster::{Lane, MemberLane};
use crate::commit_offsets::{Committer, OffsetToCommit};
use crate::coordinator::{CoordinatorKey, Line};
use crate::error::RequestError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.id`
    pub group: String,
    pub topics: Vec<String>,
    /// `session.timeout.ms`: without a heartbeat for so long, the coordinator counts the member as dead.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`: how long the coordinator waits for the members to rejoin.
    pub rebalance_timeout: Duration,
    /// `heartbeat.interval.ms`: how often the owner of a [`GroupMember`] should call [`GroupMember::heartbeat`].
    pub heartbeat_interval: Duration,
}

/// A member that has joined. Its owner sends the heartbeats, and calls [`GroupMember::rejoin`] when one says so.
#[derive(Debug)]
pub struct GroupMember {
    pub(super) client: Client,
    pub(super) config: GroupConfig,
    pub(super) member_id: String,
    pub(super) generation_id: i32,
    assignment: TopicPartitions,
    lane: MemberLane,
}

impl GroupConfig {
    /// With the timeouts of Kafka's consumer.
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> GroupConfig {
        GroupConfig {
            group: group.into(),
            topics,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(300),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

impl GroupMember {
    /// Returns when the group has settled and this member has its partitions.
    pub async fn join(client: Client, config: GroupConfig) -> Result<GroupMember, RequestError> {
        let (member_id, assignment) = (String::new(), TopicPartitions::new());
        let lane = client.cluster().open_member_lane();
        let mut member = GroupMember { client, config, member_id, generation_id: -1, assignment, lane };
        member.rejoin().await?;
        Ok(member)
    }

    /// Joins anew after a rebalance has begun. Commit first: another member may get this one's partitions.
    pub async fn rejoin(&mut self) -> Result<(), RequestError> {
        loop {
            match self.join_and_sync().await {
                Ok(assignment) => {
                    self.assignment = assignment;
                    return Ok(());
                }
                Err(error) => match error.code() {
                    Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => {}
                    Some(ErrorCode::UnknownMemberId) => self.member_id.clear(),
                    _ => return Err(error),
                },
            }
        }
    }

    async fn join_and_sync(&mut self) -> Result<TopicPartitions, RequestError> {
        let joined = self.join_group().await?;
        let assignments = match &joined {
            Joined::Leader { subscriptions, .. } => self.assign(subscriptions).await?,
            Joined::Follower { .. } => Vec::new(),
        };
        self.sync_group(joined.protocol(), assignments).await
    }

    pub fn assignment(&self) -> &TopicPartitions {
        &self.assignment
    }

    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// This member's own connection to the coordinator, which may take `patience` to answer.
    pub(super) fn line(&self, patience: Duration) -> Line<'_> {
        Line { key: CoordinatorKey::Group(&self.config.group), lane: Lane::Member(self.lane), patience }
    }

    /// The patience for an answer that comes at once.
    pub(super) fn request_timeout(&self) -> Duration {
        self.client.config().request_timeout
    }

    /// The patience for an answer that comes when all members have rejoined.
    pub(super) fn rebalance_patience(&self) -> Duration {
        self.request_timeout() + self.config.rebalance_timeout
    }

    /// Commits on behalf of this member and generation.
    pub async fn commit(&self, offsets: &[OffsetToCommit]) -> Result<(), RequestError> {
        let committer = Committer::Member { generation_id: self.generation_id, member_id: &self.member_id };
        self.client.commit_offsets(&self.config.group, committer, offsets).await
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.client.cluster().close_member_lane(self.lane);
    }
}
