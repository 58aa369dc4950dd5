//! Kafka's `TransactionalMessageCopier`, the program of its own system tests: it copies a partition to another topic, and
//! commits records and offsets together.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::kafka_release::KafkaRelease;

/// What is copied, and how.
#[derive(Clone, Debug)]
pub struct Copy {
    pub from_topic: String,
    pub to_topic: String,
    pub partition: i32,
    pub records_per_transaction: usize,
    pub transaction_timeout_ms: u32,
}

/// One life of a copier. It aborts a third of its transactions, and ends with what was there when it began.
pub struct Copier {
    child: Child,
    status: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

/// The line that it prints before each transaction, and once more at its end.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Records that this life still has to copy.
    pub remaining: usize,
}

impl Copier {
    /// The next life has the same transactional id and group, and so goes on where this one ends. What it logs stands in
    /// a file of `logs`.
    pub async fn start(bootstrap_servers: &str, copy: &Copy, logs: &Path) -> Copier {
        let log = logs.join(format!("{}-{}.log", copy.to_topic, copy.partition));
        let stderr = std::fs::File::options().create(true).append(true).open(&log).expect("a log file");
        let mut java = KafkaRelease::V4_3_1.java().await;
        java.args(["org.apache.kafka.tools.TransactionalMessageCopier", "--enable-random-aborts"]);
        java.args(["--use-group-metadata", "--broker-list", bootstrap_servers]);
        java.args(["--input-topic", &copy.from_topic, "--input-partition", &copy.partition.to_string()]);
        let name = format!("copier-{}", copy.partition);
        java.args(["--output-topic", &copy.to_topic, "--consumer-group", &name, "--transactional-id", &name]);
        java.args(["--transaction-size", &copy.records_per_transaction.to_string()]);
        java.args(["--transaction-timeout", &copy.transaction_timeout_ms.to_string()]);
        java.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        let mut child = java.spawn().expect("java runs");
        let status = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        Copier { child, status, log }
    }

    /// Waits for what it prints next; `None` when it has ended. Nothing is lost when the wait is given up.
    pub async fn next_status(&mut self) -> Option<Status> {
        let line = self.status.next_line().await.expect("it prints text")?;
        Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("status {line:?}: {e}")))
    }

    pub async fn exit_status(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// The end of what all its lives have logged.
    pub fn logged(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
