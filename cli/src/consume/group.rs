//! Reading as a member of a group: heartbeats, commits, and a new start after each rebalance.

use std::time::Duration;

use ottla_client::Client;
use ottla_client::group::{GroupConfig, GroupMember, Membership};
use ottla_protocol::ErrorCode;
use tokio::time::Instant;

use super::Consume;
use super::reader::{MAX_WAIT, Poll, Reader};
use super::start::{self, Positions};
use crate::exit::Failure;
use crate::output::Output;

/// Kafka's `auto.commit.interval.ms`.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

impl Consume {
    /// Commits what was printed and leaves the group, however the reading ends.
    pub(super) async fn consume_as_member(
        &self,
        client: &Client,
        group: &str,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let Some(_) = start::partitions(client, self).await? else { return Ok(()) };
        let config = GroupConfig::new(group, vec![self.topic.clone()]);
        let mut member = GroupMember::join(client.clone(), config).await?;
        let mut reader = Reader::new(client, self, output);
        let result = tokio::select! {
            result = self.follow_group(client, &mut member, &mut reader) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        tokio::select! {
            left = commit_and_leave(member, &reader) => left.and(result),
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted("interrupted before the group was left")),
        }
    }

    async fn follow_group(
        &self,
        client: &Client,
        member: &mut GroupMember,
        reader: &mut Reader<'_>,
    ) -> Result<(), Failure> {
        loop {
            reader.assign(self.group_positions(client, member).await?).await?;
            if read_until_rebalance(member, reader).await? == Poll::Stop {
                return Ok(());
            }
            commit(member, reader).await?;
            member.rejoin().await?;
        }
    }

    /// Where the group has got to; where it has committed nothing, `--from-beginning` decides.
    async fn group_positions(&self, client: &Client, member: &GroupMember) -> Result<Positions, Failure> {
        let assigned = member.assignment().get(&self.topic).cloned().unwrap_or_default();
        let wanted: Vec<(&str, i32)> =
            assigned.iter().map(|partition| (self.topic.as_str(), *partition)).collect();
        let committed = client.fetch_offsets(&member.config().group, &wanted).await?;
        let mut positions: Positions =
            committed.into_iter().map(|committed| (committed.partition, committed.offset)).collect();
        let fresh: Vec<i32> =
            assigned.into_iter().filter(|partition| !positions.contains_key(partition)).collect();
        positions.extend(start::positions(client, &self.topic, &fresh, self.start_at()).await?);
        Ok(positions)
    }
}

async fn commit_and_leave(member: GroupMember, reader: &Reader<'_>) -> Result<(), Failure> {
    commit(&member, reader).await?;
    Ok(member.leave().await?)
}

async fn read_until_rebalance(member: &GroupMember, reader: &mut Reader<'_>) -> Result<Poll, Failure> {
    let heartbeat_interval = member.config().heartbeat_interval;
    let mut next_heartbeat = Instant::now() + heartbeat_interval;
    let mut next_commit = Instant::now() + COMMIT_INTERVAL;
    loop {
        if reader.poll(MAX_WAIT).await? == Poll::Stop {
            return Ok(Poll::Stop);
        }
        let now = Instant::now();
        if now >= next_heartbeat {
            match member.heartbeat().await {
                Ok(Membership::Current) => {}
                Ok(Membership::RejoinNeeded) => return Ok(Poll::GoOn),
                // The reader waits for the broker, and has said so.
                Err(error) if error.is_retriable() => {}
                Err(error) => return Err(error.into()),
            }
            next_heartbeat = now + heartbeat_interval;
        }
        if now >= next_commit {
            commit(member, reader).await?;
            next_commit = now + COMMIT_INTERVAL;
        }
    }
}

/// A member that has been given up, or whose coordinator is away, cannot commit; the group reads again from its last
/// commit.
async fn commit(member: &GroupMember, reader: &Reader<'_>) -> Result<(), Failure> {
    let offsets = reader.offsets();
    if offsets.is_empty() {
        return Ok(());
    }
    let Err(error) = member.commit(&offsets).await else { return Ok(()) };
    match error.code() {
        None if error.is_retriable() => Ok(()),
        Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress) => {
            eprintln!("not committed: {error}; some records will be read again");
            Ok(())
        }
        _ => Err(error.into()),
    }
}
