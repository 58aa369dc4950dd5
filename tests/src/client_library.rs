//! The client libraries under test, each behind its agent.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::agent::Agent;
use crate::install::{self, source};
use crate::kafka_release::KafkaRelease;
use crate::program::Program;
use crate::python;
use crate::runtime::{NPM, Runtime};
use crate::server::unique;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientLibrary {
    Java(KafkaRelease),
    /// Which is librdkafka.
    ConfluentKafka,
    KafkaPython,
    KafkaJs,
    Platformatic,
    FranzGo,
    Sarama,
}

impl ClientLibrary {
    pub const ALL: [ClientLibrary; 8] = [
        ClientLibrary::Java(KafkaRelease::V4_3_1),
        ClientLibrary::Java(KafkaRelease::V2_8_1),
        ClientLibrary::ConfluentKafka,
        ClientLibrary::KafkaPython,
        ClientLibrary::KafkaJs,
        ClientLibrary::Platformatic,
        ClientLibrary::FranzGo,
        ClientLibrary::Sarama,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ClientLibrary::Java(KafkaRelease::V4_3_1) => "kafka-clients-4.3.1",
            ClientLibrary::Java(KafkaRelease::V2_8_1) => "kafka-clients-2.8.1",
            ClientLibrary::ConfluentKafka => "confluent-kafka",
            ClientLibrary::KafkaPython => "kafka-python",
            ClientLibrary::KafkaJs => "kafkajs",
            ClientLibrary::Platformatic => "platformatic-kafka",
            ClientLibrary::FranzGo => "franz-go",
            ClientLibrary::Sarama => "sarama",
        }
    }

    pub fn runtime(self) -> Runtime {
        match self {
            ClientLibrary::Java(_) => Runtime::Java,
            ClientLibrary::ConfluentKafka | ClientLibrary::KafkaPython => Runtime::Python,
            ClientLibrary::KafkaJs | ClientLibrary::Platformatic => Runtime::Node,
            ClientLibrary::FranzGo | ClientLibrary::Sarama => Runtime::Go,
        }
    }

    /// Whether it can write a header without a value; Kafka's protocol can.
    pub fn writes_null_headers(self) -> bool {
        !matches!(self, ClientLibrary::KafkaPython | ClientLibrary::KafkaJs)
    }

    /// An agent that talks to the server. Its standard error stands in a file of `logs`.
    pub async fn start(self, bootstrap_servers: &str, logs: &Path) -> Agent {
        let mut command = match self {
            ClientLibrary::Java(release) => java(release).await,
            ClientLibrary::ConfluentKafka => python_agent("confluent_agent.py").await,
            ClientLibrary::KafkaPython => python_agent("kafka_python_agent.py").await,
            ClientLibrary::KafkaJs => node_agent("kafkajs.mjs").await,
            ClientLibrary::Platformatic => node_agent("platformatic.mjs").await,
            ClientLibrary::FranzGo => go_agent("franz").await,
            ClientLibrary::Sarama => go_agent("sarama").await,
        };
        command.arg(bootstrap_servers);
        let log = logs.join(unique(self.name())).with_added_extension("log");
        Agent::start(self.name(), command, log)
    }
}

async fn java(release: KafkaRelease) -> Command {
    let mut java = release.java().await;
    java.arg("Agent");
    java
}

async fn python_agent(program: &str) -> Command {
    let mut python = Command::new(python::with("requirements.txt").await);
    python.arg("-B").arg(source("python").join(program));
    python
}

/// Node finds packages beside the program, so the programs are copied to where npm has installed them.
async fn node_agent(program: &str) -> Command {
    const FILES: [&str; 5] = [
        "node/package.json",
        "node/package-lock.json",
        "node/agent.mjs",
        "node/kafkajs.mjs",
        "node/platformatic.mjs",
    ];
    let dir = install::once("node", &FILES, async |dir| {
        for file in FILES {
            let from = source(file);
            std::fs::copy(&from, dir.join(from.file_name().expect("a file")))
                .unwrap_or_else(|e| panic!("cannot copy {file}: {e}"));
        }
        Program::new(NPM).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).in_dir(dir).run().await;
    })
    .await;
    let mut node =
        Command::new(dir.join("node_modules/node/bin/node").with_extension(std::env::consts::EXE_EXTENSION));
    node.arg("--no-warnings").arg(dir.join(program)).env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    node
}

async fn go_agent(program: &str) -> Command {
    const FILES: [&str; 5] =
        ["go/go.mod", "go/go.sum", "go/agent/agent.go", "go/franz/main.go", "go/sarama/main.go"];
    let dir: PathBuf = install::once("go", &FILES, async |dir| {
        Program::new("go")
            .args(["build", "-o"])
            .args([dir.as_os_str(), "./...".as_ref()])
            .in_dir(&source("go"))
            .run()
            .await;
    })
    .await;
    Command::new(dir.join(program).with_extension(std::env::consts::EXE_EXTENSION))
}
