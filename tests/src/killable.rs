//! The broker under test as a process of its own, for tests that kill it.

use std::path::Path;

use tempfile::TempDir;

use crate::apache_kafka::ApacheKafka;
use crate::console;
use crate::ottla_process::OttlaProcess;
use crate::server::TEST_KAFKA;

/// A broker that can be killed, and comes back with its data at its address. Its files go with it.
pub struct KillableBroker {
    bootstrap_servers: String,
    process: Process,
    dir: TempDir,
}

enum Process {
    /// `None` between two lives.
    Ottla(Box<Option<OttlaProcess>>),
    Kafka(Box<ApacheKafka>),
}

impl KillableBroker {
    /// `None`, which is said, where `OTTLA_TEST_KAFKA` names a broker that is not ours to kill.
    pub async fn start() -> Option<KillableBroker> {
        let dir = tempfile::Builder::new().prefix("ottla-tests").tempdir().expect("a temporary folder");
        let (process, bootstrap_servers) = match std::env::var(TEST_KAFKA).as_deref() {
            Ok("apache") => {
                let kafka = ApacheKafka::start(dir.path()).await;
                let address = kafka.bootstrap_servers().to_owned();
                (Process::Kafka(Box::new(kafka)), address)
            }
            Ok(address) => {
                console::say(&format!("skipped: {address} is not ours to kill"));
                return None;
            }
            Err(_) => {
                let ottla = ottla("127.0.0.1:0", dir.path()).await;
                let address = ottla.bootstrap_servers().to_owned();
                (Process::Ottla(Box::new(Some(ottla))), address)
            }
        };
        Some(KillableBroker { bootstrap_servers, process, dir })
    }

    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Ends it as `kill -9` does, and starts it again. It serves when this returns.
    pub async fn kill_and_restart(&mut self) {
        match &mut self.process {
            Process::Ottla(process) => {
                process.take().expect("it runs between restarts").kill().await;
                **process = Some(ottla(&self.bootstrap_servers, self.dir.path()).await);
            }
            Process::Kafka(kafka) => kafka.restart().await,
        }
    }

    /// Where programs under test may leave their files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

async fn ottla(listen: &str, dir: &Path) -> OttlaProcess {
    OttlaProcess::start(listen, &dir.join("data"), &[]).await
}
