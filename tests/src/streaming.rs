//! `ottla-stream` in a process of its own, printing JSON.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::binary;
use crate::program::Program;

const LIMIT: Duration = Duration::from_secs(60);

/// What a run, or one micro-batch of it, printed.
#[derive(Debug, Default)]
pub struct Streamed {
    /// The rows, each a JSON object.
    pub rows: Vec<Value>,
    /// Spark's progress of each micro-batch.
    pub progress: Vec<Value>,
}

impl Streamed {
    pub fn batch_ids(&self) -> Vec<i64> {
        self.progress
            .iter()
            .map(|progress| progress["batchId"].as_i64().expect("a batch has an id"))
            .collect()
    }

    /// A column of texts.
    pub fn texts(&self, column: &str) -> Vec<&str> {
        self.rows.iter().map(|row| row[column].as_str().expect("a text")).collect()
    }

    /// Whether every row is of a micro-batch that has reported, for a query that makes a row of each record.
    fn is_reported(&self) -> bool {
        let reported = self.progress.iter().filter_map(|progress| progress["numInputRows"].as_u64());
        reported.sum::<u64>() >= self.rows.len() as u64
    }

    fn add(&mut self, line: &str) {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        match row.get("progress") {
            Some(progress) => self.progress.push(progress.clone()),
            None => self.rows.push(row),
        }
    }
}

/// Runs a query over what its topics hold at present: from their start where the checkpoint is new.
pub async fn available_now(
    sql: &str,
    bootstrap_servers: &str,
    checkpoint: &Path,
    options: &[&str],
) -> Streamed {
    let stream = Program::new(binary::ottla_stream().await).shown_as("ottla-stream");
    let stream = stream.args(arguments(sql, bootstrap_servers)).args(["--trigger", "available-now"]);
    let finished = stream.args(["--checkpoint".as_ref(), checkpoint]).args(options).run().await;
    let mut streamed = Streamed::default();
    finished.lines().into_iter().for_each(|line| streamed.add(line));
    streamed
}

/// A query that goes on until it is killed.
pub struct RunningQuery {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl RunningQuery {
    pub async fn start(sql: &str, bootstrap_servers: &str, checkpoint: &Path) -> RunningQuery {
        let mut command = Command::new(binary::ottla_stream().await);
        command.args(arguments(sql, bootstrap_servers)).arg("--checkpoint").arg(checkpoint);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the ottla-stream binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("its standard error is a pipe")).lines();
        RunningQuery { child, stdout, stderr }
    }

    /// The next micro-batches, until they have brought `count` rows. The last of them is committed.
    pub async fn rows(&mut self, count: usize) -> Streamed {
        let mut streamed = Streamed::default();
        while streamed.rows.len() < count || !streamed.is_reported() {
            let line = tokio::time::timeout(LIMIT, self.stdout.next_line()).await.expect("rows come in time");
            streamed.add(&line.expect("the query prints text").expect("the query goes on"));
        }
        streamed
    }

    /// The next line for the user, on its standard error.
    pub async fn message(&mut self) -> Option<String> {
        let line =
            tokio::time::timeout(LIMIT, self.stderr.next_line()).await.expect("a message comes in time");
        line.expect("the query prints text")
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}

fn arguments<'a>(sql: &'a str, bootstrap_servers: &'a str) -> Vec<&'a str> {
    let output = ["--format", "json", "--progress"];
    [&["sql", sql, "--bootstrap-server", bootstrap_servers, "--starting-offsets", "earliest"], &output[..]]
        .concat()
}
