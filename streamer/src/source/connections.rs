//! One client per cluster, for all sources of a query.

use std::collections::BTreeMap;
use std::fmt;

use ottla_client::{Client, ClientConfig, ConnectError};
use tokio::sync::Mutex;

type OnWait = dyn Fn(&ConnectError) + Send + Sync;

/// Connects when it is asked for a cluster for the first time, and waits for a broker that is not there yet.
pub struct Connections {
    clients: Mutex<BTreeMap<String, Client>>,
    on_wait: std::sync::Arc<OnWait>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    /// `on_wait` hears of each attempt that failed.
    pub fn new(on_wait: impl Fn(&ConnectError) + Send + Sync + 'static) -> Connections {
        Connections { clients: Mutex::default(), on_wait: std::sync::Arc::new(on_wait) }
    }

    /// `servers` as in `kafka.bootstrap.servers`.
    pub async fn client(&self, servers: &str) -> Result<Client, ConnectError> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(servers) {
            return Ok(client.clone());
        }
        let on_wait = self.on_wait.clone();
        let config = ClientConfig::new(servers).with_client_id("ottla-stream");
        let client = Client::connect(config.waiting(move |error| on_wait(error))).await?;
        clients.insert(servers.to_owned(), client.clone());
        Ok(client)
    }
}
