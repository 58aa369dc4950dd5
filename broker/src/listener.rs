//! Addresses: where the broker listens, and what it tells clients to connect to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use ottla_protocol::StrBytes;
use tokio::net::{TcpListener, lookup_host};

use crate::config::value::{ConfigType, ConfigValue};

/// How often a free port is drawn until it is free for IPv4 and IPv6 alike.
const PORT_DRAWS: usize = 32;

/// A host and a port, as a client uses them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: StrBytes,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, &self.host, self.port)
    }
}

/// An address to listen on: `host:port`, where an empty host is every interface and port 0 any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    pub host: String,
    pub port: u16,
}

/// Text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an address: expected host:port or PLAINTEXT://host:port")]
pub struct InvalidAddress(String);

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<ListenAddress, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let address = match text.split_once("://") {
            Some((name, address)) if name.eq_ignore_ascii_case("PLAINTEXT") => address,
            Some(_) => return Err(invalid()),
            None => text,
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(invalid)?,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        Ok(ListenAddress { host: host.to_owned(), port: port.parse().map_err(|_| invalid())? })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_address(f, &self.host, self.port)
    }
}

impl ConfigValue for Vec<ListenAddress> {
    const TYPE: ConfigType = ConfigType::List;
    const EXPECTED: &'static str = "host:port or PLAINTEXT://host:port, separated by commas";

    /// A `CONTROLLER` listener, which Kafka's own server.properties has, is passed over: there is no controller.
    fn parse(text: &str) -> Option<Self> {
        let addresses = text.split(',').map(str::trim).filter(|address| !address.is_empty());
        addresses
            .filter(|address| !address.starts_with("CONTROLLER://"))
            .map(|address| address.parse().ok())
            .collect()
    }

    fn to_text(&self) -> Option<String> {
        Some(self.iter().map(|address| format!("PLAINTEXT://{address}")).collect::<Vec<_>>().join(","))
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen on {address}: the address is in use. Stop the program that has it, or choose another port"
    )]
    InUse { address: String },
    #[error("cannot listen on {address}: {source}")]
    Io { address: String, source: io::Error },
}

/// The open sockets of one listen address.
pub(crate) struct Listener {
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) advertised: Arc<Endpoint>,
}

impl Listener {
    /// Opens `address`; clients are told of `advertised`, or else of the address itself.
    pub(crate) async fn bind(
        address: &ListenAddress,
        advertised: Option<&ListenAddress>,
    ) -> Result<Listener, BindError> {
        let sockets = open(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address: address.to_string() },
            _ => BindError::Io { address: address.to_string(), source },
        })?;
        let port = sockets
            .first()
            .and_then(|socket| socket.local_addr().ok())
            .map_or(address.port, |addr| addr.port());
        let advertised = match advertised {
            Some(advertised) if advertised.port != 0 => endpoint(&advertised.host, advertised.port),
            Some(advertised) => endpoint(&advertised.host, port),
            None => endpoint(reachable_host(&address.host), port),
        };
        Ok(Listener { sockets, advertised: Arc::new(advertised) })
    }
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { host: StrBytes::from_string(host.to_owned()), port }
}

/// No client can connect to "every interface".
fn reachable_host(host: &str) -> &str {
    if matches!(host, "" | "0.0.0.0" | "::") { "localhost" } else { host }
}

async fn open(address: &ListenAddress) -> io::Result<Vec<TcpListener>> {
    match address.host.as_str() {
        "localhost" => open_both(Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), address.port).await,
        // A dual-stack socket on :: takes IPv4 too; where it does, the second address counts as in use.
        "" => open_both(Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into(), address.port).await,
        host => {
            let addresses: Vec<SocketAddr> = lookup_host((host, address.port)).await?.collect();
            Ok(vec![TcpListener::bind(addresses.as_slice()).await?])
        }
    }
}

/// Opens the same port on two addresses. Where the machine lacks one address family, the other is enough.
async fn open_both(first: IpAddr, second: IpAddr, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut draws = 0;
    loop {
        draws += 1;
        let one = match TcpListener::bind((first, port)).await {
            Ok(socket) => socket,
            Err(error) if is_missing_family(&error) => {
                return Ok(vec![TcpListener::bind((second, port)).await?]);
            }
            Err(error) => return Err(error),
        };
        match TcpListener::bind((second, one.local_addr()?.port())).await {
            Ok(other) => return Ok(vec![one, other]),
            Err(error) if is_missing_family(&error) || first.is_unspecified() => return Ok(vec![one]),
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse && draws < PORT_DRAWS => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_missing_family(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        // EAFNOSUPPORT, which std gives no kind: Linux, macOS, Windows.
        || matches!(error.raw_os_error(), Some(97 | 47 | 10047))
}

fn write_address(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kafka_writes_them() {
        for (text, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("PLAINTEXT://:9092", "", 9092),
            ("plaintext://0.0.0.0:0", "0.0.0.0", 0),
            ("[::1]:9092", "::1", 9092),
        ] {
            assert_eq!(text.parse(), Ok(ListenAddress { host: host.to_owned(), port }), "{text}");
        }
        for text in
            ["", "localhost", "localhost:port", "SSL://localhost:9093", "::1:9092", "[::1:9092", "a:65536"]
        {
            assert_eq!(text.parse::<ListenAddress>(), Err(InvalidAddress(text.to_owned())));
        }
    }

    #[test]
    fn a_controller_listener_is_passed_over() {
        let parsed = Vec::<ListenAddress>::parse("PLAINTEXT://:9092,CONTROLLER://:9093").unwrap();
        assert_eq!(parsed, [ListenAddress { host: String::new(), port: 9092 }]);
    }

    #[tokio::test]
    async fn localhost_listens_on_one_port_for_both_families() {
        let address = ListenAddress { host: "localhost".to_owned(), port: 0 };
        let listener = Listener::bind(&address, None).await.unwrap();
        for socket in &listener.sockets {
            assert_eq!(socket.local_addr().unwrap().port(), listener.advertised.port);
        }
        assert_eq!(&*listener.advertised.host, "localhost");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let address = ListenAddress { host: "127.0.0.1".to_owned(), port: 0 };
        let first = Listener::bind(&address, None).await.unwrap();
        let taken = ListenAddress { port: first.advertised.port, ..address };
        let error = Listener::bind(&taken, None).await.err().unwrap();
        assert!(matches!(error, BindError::InUse { address } if address == taken.to_string()));
    }
}
