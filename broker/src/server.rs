//! Accepts connections and owns their tasks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, warn};

use crate::connection::{Connection, ConnectionError};
use crate::fair_turns::FairTurns;
use crate::limits::ConnectionLimits;
use crate::listener::Endpoint;
use crate::state::BrokerState;

/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listening socket. Its connections end with it.
pub(crate) struct Server {
    pub(crate) socket: TcpListener,
    pub(crate) advertised: Arc<Endpoint>,
    pub(crate) broker: Arc<BrokerState>,
    /// Shared by all sockets of the broker.
    pub(crate) limits: Arc<ConnectionLimits>,
    /// Shared as well.
    pub(crate) turns: Arc<FairTurns>,
}

impl Server {
    /// Serves until the task is aborted.
    pub(crate) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => self.admit(stream, address.ip(), &mut connections),
                    Err(error) => {
                        warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => log_end(ended),
            }
        }
    }

    fn admit(&self, stream: TcpStream, client_address: IpAddr, connections: &mut JoinSet<Ended>) {
        let place = match self.limits.admit(client_address) {
            Ok(place) => place,
            Err(refused) => return warn!("connection from {client_address} refused: {refused}"),
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!("no TCP_NODELAY for {client_address}: {error}");
        }
        let connection =
            Connection::new(stream, self.broker.clone(), client_address, self.advertised.clone());
        connections.spawn(self.turns.take(async move {
            let result = connection.run().await;
            drop(place);
            Ended { client_address, result }
        }));
    }
}

struct Ended {
    client_address: IpAddr,
    result: Result<(), ConnectionError>,
}

/// A handler that panics ends its connection, not the broker.
fn log_end(ended: Result<Ended, JoinError>) {
    match ended {
        Ok(Ended { result: Ok(()), .. }) => {}
        Ok(Ended { client_address, result: Err(ConnectionError::Io(error)) }) => {
            debug!("connection from {client_address} lost: {error}");
        }
        Ok(Ended { client_address, result: Err(error @ ConnectionError::Idle) }) => {
            debug!("closed the connection from {client_address}: {error}");
        }
        Ok(Ended { client_address, result: Err(error) }) => {
            warn!("closed the connection from {client_address}: {error}");
        }
        Err(error) if error.is_cancelled() => {}
        Err(error) => error!("a request handler failed, its connection is closed: {error}"),
    }
}
