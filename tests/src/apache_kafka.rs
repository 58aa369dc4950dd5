//! Apache Kafka itself, as a test compares with it: one node in KRaft mode, from Maven's jars.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::console;
use crate::kafka_release::KafkaRelease;
use crate::program::{Finished, Program};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Kafka logs this line once it serves.
const STARTED: &str = "Kafka Server started";

pub struct ApacheKafka {
    process: Child,
    properties: PathBuf,
    bootstrap_servers: String,
}

impl ApacheKafka {
    /// Formats a log directory below `dir` and starts Kafka on it, at a free port. It serves when this returns.
    pub async fn start(dir: &Path) -> ApacheKafka {
        ApacheKafka::start_at(&dir.join("kafka"), dir, Quorum::Configured).await
    }

    /// Formats this log directory and starts Kafka on it.
    pub async fn start_at(log_dir: &Path, dir: &Path, quorum: Quorum) -> ApacheKafka {
        let configured = ConfiguredKafka::at(log_dir, dir, quorum);
        let mut format = java().await;
        format.args(["kafka.tools.StorageTool", "format", "-t", "b3R0bGEtdGVzdHMta2Fma2E", "-c"]);
        format.arg(&configured.properties).args(quorum.format_options());
        let output = format.output().await.expect("java runs");
        assert!(output.status.success(), "Kafka's StorageTool failed: {output:?}");
        configured.start().await
    }

    /// Starts Kafka on a log directory that is there already, as node 1. It serves when this returns.
    pub async fn take_over(log_dir: &Path, dir: &Path) -> ApacheKafka {
        ApacheKafka::take_over_as(log_dir, dir, Quorum::Configured).await
    }

    pub async fn take_over_as(log_dir: &Path, dir: &Path, quorum: Quorum) -> ApacheKafka {
        ConfiguredKafka::at(log_dir, dir, quorum).start().await
    }

    /// Starts Kafka on a log directory that it cannot have, and waits until it has given up.
    pub async fn try_take_over(log_dir: &Path, dir: &Path, quorum: Quorum) -> Finished {
        let configured = ConfiguredKafka::at(log_dir, dir, quorum);
        let kafka = Program::from(java().await).shown_as("Kafka where another broker is".to_owned());
        kafka.args(["kafka.Kafka".as_ref(), configured.properties.as_os_str()]).finish().await
    }

    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("a child can be killed");
    }

    /// Asks it to stop, and waits until it has.
    #[cfg(unix)]
    pub async fn stop(mut self) {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs").success());
        let ended = tokio::time::timeout(START_LIMIT, self.process.wait()).await;
        ended.expect("Kafka stops in time").expect("a child can be waited for");
    }

    /// Kills it and starts it again on the same data, at the same address.
    pub async fn restart(&mut self) {
        self.process.kill().await.expect("a child can be killed");
        self.process = serve(&self.properties).await;
    }
}

/// How a controller knows who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// By `controller.quorum.voters`.
    Configured,
    /// By its metadata log, which was formatted with `--standalone`, as Kafka's quick start does (KIP-853).
    Standalone,
}

impl Quorum {
    fn format_options(self) -> &'static [&'static str] {
        match self {
            Quorum::Configured => &[],
            Quorum::Standalone => &["--standalone"],
        }
    }

    fn setting(self, controller_port: u16) -> String {
        match self {
            Quorum::Configured => format!("controller.quorum.voters=1@127.0.0.1:{controller_port}"),
            Quorum::Standalone => format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}"),
        }
    }
}

/// A Kafka that has its settings, and does not run yet.
struct ConfiguredKafka {
    properties: PathBuf,
    bootstrap_servers: String,
}

impl ConfiguredKafka {
    fn at(log_dir: &Path, dir: &Path, quorum: Quorum) -> ConfiguredKafka {
        let [port, controller_port] = free_ports();
        let properties = dir.join("server.properties");
        let settings = server_properties(port, controller_port, quorum, log_dir);
        std::fs::write(&properties, settings).expect("a temporary folder takes a file");
        ConfiguredKafka { properties, bootstrap_servers: format!("127.0.0.1:{port}") }
    }

    async fn start(self) -> ApacheKafka {
        let ConfiguredKafka { properties, bootstrap_servers } = self;
        ApacheKafka { process: serve(&properties).await, properties, bootstrap_servers }
    }
}

async fn serve(properties: &Path) -> Child {
    let mut command = java().await;
    command
        .args(["-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info", "kafka.Kafka"])
        .arg(properties);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("java runs");
    let mut log = BufReader::new(process.stderr.take().expect("its standard error is a pipe")).lines();
    let started = async {
        let mut seen = Vec::new();
        while let Some(line) = log.next_line().await.expect("a JVM logs text") {
            if line.contains(STARTED) {
                return;
            }
            seen.push(line);
        }
        panic!("Kafka did not start: {}", seen.join("\n"));
    };
    tokio::time::timeout(START_LIMIT, started).await.expect("Kafka starts in time");
    console::say(&format!("started Kafka {}", KafkaRelease::V4_3_1.version()));
    // Whoever writes to a full pipe waits, so the rest of the log is read, too.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    process
}

async fn java() -> Command {
    let mut java = KafkaRelease::V4_3_1.java().await;
    java.kill_on_drop(true);
    java
}

/// Ports that were free a moment ago. Kafka has to know its controller's before it starts.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}

fn server_properties(port: u16, controller_port: u16, quorum: Quorum, log_dir: &Path) -> String {
    let quorum = quorum.setting(controller_port);
    // Java reads a backslash in a properties file as an escape.
    let log_dir = log_dir.display().to_string().replace('\\', "/");
    format!(
        "process.roles=broker,controller
node.id=1
{quorum}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={log_dir}
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=100
"
    )
}
