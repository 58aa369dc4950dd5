//! Broker addresses: `host:port` lists, and a TCP connection to the first address of a host that answers.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The head start that each address of a host has over the next one (RFC 8305, "Happy Eyeballs").
const ATTEMPT_DELAY: Duration = Duration::from_millis(200);

/// A broker's host and port, as in `localhost:9092` or `[::1]:9092`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the list of bootstrap servers is empty: name at least one, such as `localhost:9092`")]
    Empty,
    #[error("`{0}` is not a bootstrap server: write host:port, such as `localhost:9092` or `[::1]:9092`")]
    Malformed(String),
}

/// Parses Kafka's `bootstrap.servers`: addresses separated by commas, blanks ignored.
pub(crate) fn parse_bootstrap_servers(list: &str) -> Result<Vec<HostPort>, AddressError> {
    let servers = list.split(',').map(str::trim).filter(|server| !server.is_empty());
    let servers = servers.map(HostPort::from_str).collect::<Result<Vec<_>, _>>()?;
    if servers.is_empty() { Err(AddressError::Empty) } else { Ok(servers) }
}

/// Connects to whichever address of the host answers first, IPv6 or IPv4: the next one is tried when one has failed,
/// or has not answered within [`ATTEMPT_DELAY`].
pub(crate) async fn connect(server: &HostPort) -> io::Result<TcpStream> {
    let mut addresses = resolve(server).await?.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    loop {
        match addresses.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let patience = if addresses.len() == 0 { Duration::MAX } else { ATTEMPT_DELAY };
        let Ok(Some(attempt)) = timeout(patience, attempts.join_next()).await else { continue };
        match attempt.map_err(io::Error::other)? {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream),
            Err(error) => failure = error,
        }
    }
}

/// `localhost` is this machine on both protocols, whatever the resolver knows of it (RFC 6761).
async fn resolve(server: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let HostPort { host, port } = server;
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()]);
    }
    Ok(lookup_host((host.as_str(), *port)).await?.collect())
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<HostPort, AddressError> {
        let malformed = || AddressError::Malformed(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
            return Err(malformed());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?;
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_servers_are_read_as_kafka_reads_them() {
        let servers = parse_bootstrap_servers(" localhost:9092, [::1]:9093 ,,").unwrap();
        assert_eq!(
            servers.iter().map(HostPort::to_string).collect::<Vec<_>>(),
            ["localhost:9092", "[::1]:9093"]
        );
        assert_eq!(parse_bootstrap_servers(" , "), Err(AddressError::Empty));
    }

    #[test]
    fn an_address_needs_a_host_and_a_port() {
        for text in ["localhost", "localhost:", ":9092", "localhost:0", "localhost:65536", "::1:9092", "[]:1"]
        {
            assert_eq!(text.parse::<HostPort>(), Err(AddressError::Malformed(text.to_owned())), "{text}");
        }
    }

    #[tokio::test]
    async fn localhost_is_found_on_either_protocol() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = tokio::net::TcpListener::bind(bind).await else { continue };
            let port = listener.local_addr().unwrap().port();
            let stream = connect(&HostPort { host: "localhost".to_owned(), port }).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        }
    }
}
