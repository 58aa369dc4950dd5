//! How far the query is, told to a consumer group, so that `kafka-consumer-groups --describe` shows its lag.
//!
//! The checkpoint stays the truth: nothing is ever read back from the group, and a commit that fails costs a warning.
//! Spark's group has a random name and no offsets; here it is `groupIdPrefix` and the query's id, which stay.

use std::time::Duration;

use ottla_client::{Client, Committer, OffsetToCommit, RequestError};
use tokio::task::JoinHandle;

use super::offsets::PartitionOffsets;
use super::options::Group;

/// How long a query that ends waits for its last commit.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Commits behind the query's back, one at a time and the newest offsets only, so that no batch waits for it.
pub(super) struct GroupOffsets {
    client: Client,
    group: String,
    running: Option<JoinHandle<Result<(), RequestError>>>,
    waiting: Option<PartitionOffsets>,
    is_failing: bool,
}

impl GroupOffsets {
    pub(super) fn new(client: Client, group: &Group, query_id: &str) -> GroupOffsets {
        let group = match group {
            Group::Named(name) => name.clone(),
            Group::Prefix(prefix) => format!("{prefix}-{query_id}"),
        };
        GroupOffsets { client, group, running: None, waiting: None, is_failing: false }
    }

    pub(super) async fn commit(&mut self, offsets: PartitionOffsets) {
        self.waiting = Some(offsets);
        if self.running.as_ref().is_none_or(JoinHandle::is_finished) {
            self.next().await;
        }
    }

    /// Brings the newest offsets to the broker.
    pub(super) async fn close(&mut self) {
        let last = async {
            while self.running.is_some() || self.waiting.is_some() {
                self.next().await;
            }
        };
        if tokio::time::timeout(LAST_COMMIT, last).await.is_err() {
            tracing::warn!(
                "the consumer group does not show where the query ended: its coordinator does not answer"
            );
        }
    }

    /// Ends the commit that runs, and begins that of what waits.
    async fn next(&mut self) {
        if let Some(running) = &mut self.running {
            let result = running.await;
            self.running = None;
            match result {
                Ok(Ok(())) => self.is_failing = false,
                Ok(Err(error)) => self.warn(&error),
                // The process ends.
                Err(_) => {}
            }
        }
        let Some(offsets) = self.waiting.take() else {
            return;
        };
        let offsets: Vec<_> = offsets
            .0
            .into_iter()
            .map(|(partition, offset)| OffsetToCommit::new(partition.topic, partition.partition, offset))
            .collect();
        if !offsets.is_empty() {
            let (client, group) = (self.client.clone(), self.group.clone());
            self.running = Some(tokio::spawn(async move {
                client.commit_offsets(&group, Committer::Standalone, &offsets).await
            }));
        }
    }

    /// Once, until it works again.
    fn warn(&mut self, error: &RequestError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let group = &self.group;
            tracing::warn!(
                "the consumer group {group} does not show how far the query is: {error}; the query goes on"
            );
        }
    }
}
