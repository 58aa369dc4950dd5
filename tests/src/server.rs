//! The broker under test.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_broker::listener::ListenAddress;
use ottla_broker::{Broker, Config};
use tempfile::TempDir;

use crate::apache_kafka::ApacheKafka;
use crate::console;
use crate::runtime::{self, Runtime};

/// `apache` starts Kafka from Maven's jars, `host:port` takes a broker that runs. Unset, Ottla is tested.
pub const TEST_KAFKA: &str = "OTTLA_TEST_KAFKA";

/// The broker under test, and a folder for logs; both are gone when it is dropped.
pub struct Server {
    broker: Under,
    dir: TempDir,
}

enum Under {
    Ottla { broker: Option<Broker>, address: ListenAddress },
    Kafka(Box<ApacheKafka>),
    External(String),
}

impl Server {
    pub async fn start() -> Server {
        let dir = tempfile::Builder::new().prefix("ottla-tests").tempdir().expect("a temporary folder");
        let broker = match std::env::var(TEST_KAFKA).as_deref() {
            Ok("apache") => Under::Kafka(Box::new(ApacheKafka::start(dir.path()).await)),
            Ok(address) => Under::External(address.to_owned()),
            Err(_) => ottla(ListenAddress { host: "127.0.0.1".to_owned(), port: 0 }, dir.path()).await,
        };
        Server { broker, dir }
    }

    pub fn bootstrap_servers(&self) -> String {
        match &self.broker {
            Under::Ottla { address, .. } => format!("{}:{}", address.host, address.port),
            Under::Kafka(kafka) => kafka.bootstrap_servers().to_owned(),
            Under::External(address) => address.clone(),
        }
    }

    /// Stops it and starts it again, with its data and at its address. Says so and does nothing where it is not ours.
    pub async fn restart(&mut self) {
        match &mut self.broker {
            Under::Ottla { broker, address } => {
                broker.take().expect("it runs between restarts").shutdown().await;
                self.broker = ottla(address.clone(), self.dir.path()).await;
            }
            Under::Kafka(kafka) => kafka.restart().await,
            Under::External(address) => console::say(&format!("{address} is not ours: not restarted")),
        }
    }

    /// Where programs under test may leave their logs.
    pub fn logs(&self) -> &Path {
        self.dir.path()
    }
}

async fn ottla(address: ListenAddress, dir: &Path) -> Under {
    let config = Config::default().with_listeners(vec![address]).with_data_dir(dir.join("data"));
    let broker = Broker::start(config).await.unwrap_or_else(|e| panic!("Ottla does not start: {e}"));
    let bootstrap_servers = broker.bootstrap_servers();
    let (host, port) = bootstrap_servers.rsplit_once(':').expect("host:port");
    let address = ListenAddress { host: host.to_owned(), port: port.parse().expect("a port") };
    Under::Ottla { broker: Some(broker), address }
}

/// Whether a test that needs these runtimes can run, the server's own included.
pub fn can_test(runtimes: &[Runtime]) -> bool {
    let apache = std::env::var(TEST_KAFKA).is_ok_and(|server| server == "apache");
    runtime::present(runtimes) && (!apache || runtime::present(&[Runtime::Java]))
}

/// A name that no other test uses, on a server that several share.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
