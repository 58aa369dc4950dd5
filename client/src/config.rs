//! How a client connects, waits and gives up. The names are those of Kafka's client settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConnectError;

#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `bootstrap.servers`: host:port addresses separated by commas; one that answers is enough.
    pub bootstrap_servers: String,
    /// `client.id`: the name under which the broker logs this client.
    pub client_id: String,
    /// `request.timeout.ms`: how long a request may take, retries included.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`: how long one broker may take to accept a connection.
    pub connect_timeout: Duration,
    /// `retry.backoff.ms`: the pause before metadata is asked for again, or a broker is connected to again.
    pub retry_backoff: Duration,
    /// `max.in.flight.requests.per.connection`: further requests wait their turn.
    pub max_in_flight_requests: usize,
    /// A longer response is refused, and the connection closed.
    pub max_response_bytes: usize,
    pub wait_for_broker: WaitForBroker,
}

/// What [`crate::Client::connect`] does when no broker answers.
#[derive(Clone, Default)]
pub enum WaitForBroker {
    /// Return the error.
    #[default]
    Fail,
    /// Call `on_wait` once, then go on trying until a broker answers.
    Wait { on_wait: Arc<dyn Fn(&ConnectError) + Send + Sync> },
}

impl ClientConfig {
    pub fn new(bootstrap_servers: impl Into<String>) -> ClientConfig {
        ClientConfig {
            bootstrap_servers: bootstrap_servers.into(),
            client_id: "ottla-client".to_owned(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            retry_backoff: Duration::from_millis(100),
            max_in_flight_requests: 5,
            max_response_bytes: 100 * 1024 * 1024,
            wait_for_broker: WaitForBroker::Fail,
        }
    }

    pub fn with_client_id(self, client_id: impl Into<String>) -> ClientConfig {
        ClientConfig { client_id: client_id.into(), ..self }
    }

    /// Waits for a broker that is not there yet; `on_wait` is told once.
    pub fn waiting(self, on_wait: impl Fn(&ConnectError) + Send + Sync + 'static) -> ClientConfig {
        ClientConfig { wait_for_broker: WaitForBroker::Wait { on_wait: Arc::new(on_wait) }, ..self }
    }
}

impl fmt::Debug for WaitForBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WaitForBroker::Fail => "Fail",
            WaitForBroker::Wait { .. } => "Wait",
        })
    }
}
