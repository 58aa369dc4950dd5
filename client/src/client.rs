//! The client: a cheap handle that finds the broker for each call.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ErrorCode, Request, VersionRange};
use tokio::time::Instant;

use crate::address::{HostPort, parse_bootstrap_servers};
use crate::cluster::{Cluster, Lane};
use crate::config::ClientConfig;
use crate::connection::Connection;
use crate::coordinator::Coordinators;
use crate::error::{ConnectError, Leaderless, RequestError};
use crate::metadata::{AutoCreate, Metadata, TopicMetadata};

/// A connection to a cluster; clones share sockets and metadata. The last one dropped closes them.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    cluster: Cluster,
    coordinators: Coordinators,
}

/// Who answers for a partition.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    pub(crate) server: HostPort,
    pub(crate) epoch: i32,
    pub(crate) topic: Arc<TopicMetadata>,
}

/// Whether a request may be sent a second time when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    Harmless,
    OnlyIfNeverSent,
}

/// The attempts that one call may make: a pause between two, and an end.
#[derive(Debug)]
pub(crate) struct Attempts {
    deadline: Instant,
    backoff: Duration,
}

impl Client {
    /// Returns when a broker has answered. See [`crate::WaitForBroker`] for one that is not there yet.
    pub async fn connect(config: ClientConfig) -> Result<Client, ConnectError> {
        let cluster = Cluster::new(parse_bootstrap_servers(&config.bootstrap_servers)?);
        cluster.first_connection(&config).await?;
        Ok(Client { shared: Arc::new(Shared { config, cluster, coordinators: Coordinators::default() }) })
    }

    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// `request.timeout.ms` as requests carry it.
    pub(crate) fn request_timeout_ms(&self) -> i32 {
        i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    pub(crate) fn coordinators(&self) -> &Coordinators {
        &self.shared.coordinators
    }

    pub(crate) fn attempts(&self) -> Attempts {
        Attempts {
            deadline: Instant::now() + self.config().request_timeout,
            backoff: self.config().retry_backoff,
        }
    }

    /// Asks whichever broker answers, again if its answer was lost.
    pub(crate) async fn call_any<R: Request>(
        &self,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        self.send_any(Resend::Harmless, versions, build).await
    }

    pub(crate) async fn send_any<R: Request>(
        &self,
        resend: Resend,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        let attempts = self.attempts();
        loop {
            let error = match self.try_any(versions, &build).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let may_resend = resend == Resend::Harmless || error.was_never_sent();
            if !may_resend || !error.is_retriable() || !attempts.pause().await {
                return Err(error);
            }
        }
    }

    async fn try_any<R: Request>(
        &self,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        let connection = self.cluster().any_connection(self.config()).await?;
        connection.call(versions, build).await
    }

    pub(crate) async fn connection(
        &self,
        server: &HostPort,
        lane: Lane,
    ) -> Result<Arc<Connection>, RequestError> {
        let connection = self.cluster().connection(server.clone(), lane, self.config()).await;
        Ok(connection.inspect_err(|_| self.cluster().forget_broker(server))?)
    }

    /// The partition's leader, from the cache or a fresh Metadata; waits while Kafka is still making or electing it.
    pub(crate) async fn leader(
        &self,
        topic: &str,
        partition: i32,
        auto_create: AutoCreate,
    ) -> Result<Leader, RequestError> {
        let attempts = self.attempts();
        loop {
            if let Some(leader) = self.known_leader(topic, partition) {
                return Ok(leader);
            }
            let metadata = self.fetch_metadata(Some(&[topic]), auto_create).await?;
            let Some(reason) = why_leaderless(&metadata, topic, partition) else { continue };
            let in_the_making = match reason {
                Leaderless::Electing => true,
                Leaderless::UnknownTopic => auto_create == AutoCreate::Allowed,
                Leaderless::UnknownPartition | Leaderless::Other(_) => false,
            };
            if !in_the_making || !attempts.pause().await {
                return Err(RequestError::NoLeader { topic: topic.to_owned(), partition, reason });
            }
        }
    }

    fn known_leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let topic = self.cluster().topic(topic)?;
        let partition = topic.partition(partition)?;
        let server = self.cluster().broker(partition.leader?)?;
        Some(Leader { server, epoch: partition.leader_epoch, topic: Arc::clone(&topic) })
    }
}

impl Attempts {
    /// False when the time is over.
    pub(crate) async fn pause(&self) -> bool {
        let next = Instant::now() + self.backoff;
        if next < self.deadline {
            tokio::time::sleep_until(next).await;
        }
        next < self.deadline
    }
}

/// `None` if the partition has a leader that is alive.
fn why_leaderless(metadata: &Metadata, topic: &str, partition: i32) -> Option<Leaderless> {
    let Some(topic) = metadata.topic(topic) else { return Some(Leaderless::UnknownTopic) };
    match topic.error {
        None => {}
        Some(ErrorCode::UnknownTopicOrPartition) => return Some(Leaderless::UnknownTopic),
        Some(ErrorCode::LeaderNotAvailable) => return Some(Leaderless::Electing),
        Some(code) => return Some(Leaderless::Other(code)),
    }
    let Some(partition) = topic.partition(partition) else { return Some(Leaderless::UnknownPartition) };
    let is_alive = |leader| metadata.brokers.iter().any(|broker| broker.node_id == leader);
    if partition.leader.is_some_and(is_alive) { None } else { Some(Leaderless::Electing) }
}
