//! A Kafka Streams application, `java/streams/CountPerKey.java`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::java;

/// One life of the application.
pub struct StreamsApp {
    child: Child,
    states: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl StreamsApp {
    /// It counts the records of each key of one topic into another. `dir` keeps its state and its log between its lives.
    pub async fn start(bootstrap_servers: &str, from_topic: &str, to_topic: &str, dir: &Path) -> StreamsApp {
        let log = dir.join("streams.log");
        let stderr = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut java = java::java("kafka-streams-4.3.1", "streams/CountPerKey.java").await;
        java.args(["CountPerKey", bootstrap_servers, from_topic, to_topic]).arg(dir.join("streams"));
        java.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        let mut child = java.spawn().expect("java runs");
        let states = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        StreamsApp { child, states, log }
    }

    /// Waits until the application has ended, which it does not do by itself, unless it fails; returns why.
    pub async fn failed(&mut self) -> String {
        let mut last = None;
        while let Some(state) = self.states.next_line().await.expect("it prints text") {
            last = Some(state);
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("the application ended in state {last:?}: {end}")
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}
