//! The brokers that are compared: how each is started, and a running one.

mod kafka;
mod kfake;
mod ottla;

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::artifacts::Artifacts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Peer {
    #[value(skip)]
    Ottla,
    Kafka,
    Kfake,
}

/// What a measurement needs of a broker beyond its defaults, in each peer's own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Options of `ottla serve`.
    pub(crate) ottla: &'static [&'static str],
    /// Lines of `server.properties`.
    pub(crate) kafka: &'static [&'static str],
    /// Options of `benches/kfake`.
    pub(crate) kfake: &'static [&'static str],
}

/// A broker that has opened its port. Dropped, it is killed and its files are gone.
#[derive(Debug)]
pub(crate) struct RunningBroker {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    /// From just before the process was made.
    pub(crate) started_at: Instant,
    pub(crate) start_to_open_port: Duration,
    command: Command,
    process: Child,
    folder: TempDir,
}

/// What a peer needs to know to start: its port, its data folder, a folder for its other files, and its settings.
struct Site<'a> {
    port: u16,
    data_dir: PathBuf,
    folder: &'a Path,
    settings: Settings,
}

#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error("cannot prepare {}: {source}", peer.name())]
    Prepare { peer: Peer, source: io::Error },
    #[error("{} stopped while it started ({status}): {log}", peer.name())]
    Stopped { peer: Peer, status: ExitStatus, log: String },
    #[error("{} has not opened its port within {START_TIMEOUT:?}: {log}", peer.name())]
    Timeout { peer: Peer, log: String },
}

impl Settings {
    pub(crate) const DEFAULT: Settings = Settings { ottla: &[], kafka: &[], kfake: &[] };
}

/// A Kafka that was killed with ten thousand partitions takes minutes.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// In the broker's folder.
const DATA_DIR: &str = "data";
/// What it has printed, beside it.
const LOG: &str = "broker.log";
const POLL_INTERVAL: Duration = Duration::from_millis(1);

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Ottla => "Ottla",
            Peer::Kafka => "Kafka 4.3.1",
            Peer::Kfake => "kfake",
        }
    }

    /// Starts the broker on a free port with an empty data folder.
    pub(crate) async fn start(
        self,
        artifacts: &Artifacts,
        settings: Settings,
    ) -> Result<RunningBroker, StartError> {
        let prepare = |source| StartError::Prepare { peer: self, source };
        let folder = tempfile::Builder::new().prefix("ottla-compare-").tempdir().map_err(prepare)?;
        let port = free_port().map_err(prepare)?;
        let data_dir = folder.path().join(DATA_DIR);
        let site = Site { port, data_dir, folder: folder.path(), settings };
        let mut command = self.command(artifacts, &site).map_err(prepare)?;
        let log = File::create(folder.path().join(LOG)).map_err(prepare)?;
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(prepare)?).stderr(log);

        let started_at = Instant::now();
        let mut broker = RunningBroker {
            peer: self,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            started_at,
            start_to_open_port: Duration::ZERO,
            process: command.spawn().map_err(prepare)?,
            command,
            folder,
        };
        broker.wait_for_port().await?;
        Ok(broker)
    }

    fn command(self, artifacts: &Artifacts, site: &Site<'_>) -> io::Result<Command> {
        match self {
            Peer::Ottla => Ok(ottla::command(artifacts, site)),
            Peer::Kafka => kafka::command(artifacts, site),
            Peer::Kfake => kfake::command(artifacts, site),
        }
    }
}

impl RunningBroker {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join(DATA_DIR)
    }

    /// Kills the broker as `kill -9` does, and starts it again on what that left.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<(), StartError> {
        let peer = self.peer;
        let prepare = |source| StartError::Prepare { peer, source };
        self.process.kill().map_err(prepare)?;
        self.process.wait().map_err(prepare)?;
        self.started_at = Instant::now();
        self.process = self.command.spawn().map_err(prepare)?;
        self.wait_for_port().await
    }

    async fn wait_for_port(&mut self) -> Result<(), StartError> {
        let log_path = self.folder.path().join(LOG);
        let log = || fs::read_to_string(&log_path).unwrap_or_default();
        let peer = self.peer;
        loop {
            if TcpStream::connect(self.address).await.is_ok() {
                self.start_to_open_port = self.started_at.elapsed();
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(StartError::Stopped { peer, status, log: log() });
            }
            if self.started_at.elapsed() > START_TIMEOUT {
                return Err(StartError::Timeout { peer, log: log() });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        // A broker that is gone already needs no killing, and there is nobody to tell of another error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
