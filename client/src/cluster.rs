//! What a client knows of the cluster, and its connections: one per broker and lane, opened when first used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::address::HostPort;
use crate::config::{ClientConfig, WaitForBroker};
use crate::connection::Connection;
use crate::error::ConnectError;
use crate::metadata::{Metadata, TopicMetadata};

/// A broker answers one connection's requests in order, so those that may wait do so on a connection of their own:
/// a long poll must not hold up an append, nor one member's rebalance the heartbeats of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Control,
    Produce,
    Fetch,
    Coordinator,
    Member(MemberLane),
}

/// The number of a group member within its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MemberLane(u64);

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Route {
    server: HostPort,
    lane: Lane,
}

/// Locked while a connection is being opened, so that all who ask for it share one.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

#[derive(Debug)]
pub(crate) struct Cluster {
    bootstrap: Vec<HostPort>,
    connections: Mutex<HashMap<Route, Slot>>,
    view: Mutex<View>,
    next_member: AtomicU64,
}

/// The newest metadata of everything that was asked for.
#[derive(Debug, Default)]
struct View {
    brokers: HashMap<i32, HostPort>,
    topics: HashMap<String, Arc<TopicMetadata>>,
}

impl Cluster {
    pub(crate) fn new(bootstrap: Vec<HostPort>) -> Cluster {
        Cluster {
            bootstrap,
            connections: Mutex::default(),
            view: Mutex::default(),
            next_member: AtomicU64::new(0),
        }
    }

    /// The first broker that answers, waiting for one if the configuration says so.
    pub(crate) async fn first_connection(
        &self,
        config: &ClientConfig,
    ) -> Result<Arc<Connection>, ConnectError> {
        let mut told = false;
        loop {
            let error = match self.any_connection(config).await {
                Err(error @ (ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. })) => error,
                settled => return settled,
            };
            let WaitForBroker::Wait { on_wait } = &config.wait_for_broker else { return Err(error) };
            if !std::mem::replace(&mut told, true) {
                on_wait(&error);
            }
            tokio::time::sleep(config.retry_backoff).await;
        }
    }

    /// A connection to whichever broker answers: those of the bootstrap list first, then those met since.
    pub(crate) async fn any_connection(
        &self,
        config: &ClientConfig,
    ) -> Result<Arc<Connection>, ConnectError> {
        let mut failure = None;
        for server in self.servers() {
            match self.connection(server, Lane::Control, config).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or(ConnectError::Address(crate::address::AddressError::Empty)))
    }

    pub(crate) async fn connection(
        &self,
        server: HostPort,
        lane: Lane,
        config: &ClientConfig,
    ) -> Result<Arc<Connection>, ConnectError> {
        let route = Route { server: server.clone(), lane };
        let slot = Arc::clone(self.connections.lock().entry(route).or_default());
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::open(server, config).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    pub(crate) fn open_member_lane(&self) -> MemberLane {
        MemberLane(self.next_member.fetch_add(1, Ordering::Relaxed))
    }

    /// Closes the member's connections once nobody waits for an answer on them.
    pub(crate) fn close_member_lane(&self, member: MemberLane) {
        self.connections.lock().retain(|route, _| route.lane != Lane::Member(member));
    }

    pub(crate) fn broker(&self, node_id: i32) -> Option<HostPort> {
        self.view.lock().brokers.get(&node_id).cloned()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<TopicMetadata>> {
        self.view.lock().topics.get(name).cloned()
    }

    /// Takes in an answer to Metadata. A topic with an error is forgotten.
    pub(crate) fn learn(&self, metadata: &Metadata) {
        let mut view = self.view.lock();
        view.brokers =
            metadata.brokers.iter().map(|broker| (broker.node_id, broker.address.clone())).collect();
        for topic in &metadata.topics {
            match topic.error {
                None => view.topics.insert(topic.name.clone(), Arc::clone(topic)),
                Some(_) => view.topics.remove(&topic.name),
            };
        }
    }

    /// The topic's leaders are asked for again when they are next needed.
    pub(crate) fn forget_topic(&self, name: &str) {
        self.view.lock().topics.remove(name);
    }

    /// A broker that does not answer may have moved, or may lead nothing any more.
    pub(crate) fn forget_broker(&self, server: &HostPort) {
        self.view.lock().brokers.retain(|_, known| known != server);
    }

    fn servers(&self) -> Vec<HostPort> {
        let view = self.view.lock();
        let met = view.brokers.values().filter(|server| !self.bootstrap.contains(server));
        self.bootstrap.iter().chain(met).cloned().collect()
    }
}
