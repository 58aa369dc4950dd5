//! A conversation with a client library.
//!
//! An *agent* is a small program in the library's language, under `tests/java`, `python`, `node` and `go`. It reads a
//! JSON request per line and answers with a JSON object per line, so that one Rust test drives every library:
//!
//! | request (`do`) | fields | answer |
//! |---|---|---|
//! | `create` | `topic`, `partitions` | |
//! | `produce` | `topic`, `codec`, `records` | `offsets`, in the order of the records |
//! | `subscribe` | `topic`, `group`, `protocol` (Java: of the group, if not the classic one) | |
//! | `assignment` | `partitions` (how many to wait for) | `partitions` |
//! | `poll` | `count` (how many to wait for) | `records` |
//! | `commit` | | everything that was polled is committed |
//! | `close` | | the member has left its group |
//!
//! Java's agent has transactions, too, of a producer for each transactional `id`, and reads what is committed:
//!
//! | request (`do`) | fields | answer |
//! |---|---|---|
//! | `begin`, `commit_transaction`, `abort_transaction` | `id` | |
//! | `send` | `id`, `topic`, `records` | `offsets`, in the order of the records |
//! | `send_offsets` | `id`, `group`, `topic`, `offsets` (pairs of partition and offset) | |
//! | `assign` | `topic`, `partitions` (how many) | `poll` then begins at the first committed record |
//! | `drain` | | `records`: all that are committed and not yet polled |
//!
//! An agent has one producer per codec and one consumer at a time. A failure is answered with `error`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long an answer may take: more than any session timeout of the libraries.
const LIMIT: Duration = Duration::from_secs(90);

/// A record as every library can write and read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    pub partition: i32,
    /// Not read by `produce`.
    #[serde(default)]
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

pub struct Agent {
    name: String,
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Agent {
    /// Starts an agent's program. What it prints on its standard error stands in the file `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: PathBuf) -> Agent {
        let stderr =
            std::fs::File::create(&log).unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run the agent of {name}: {e}"));
        let requests = child.stdin.take().expect("its standard input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        Agent { name: name.to_owned(), child, requests, answers, log }
    }

    pub async fn create_topic(&mut self, topic: &str, partitions: i32) {
        self.ask(json!({"do": "create", "topic": topic, "partitions": partitions})).await;
    }

    /// The error of a creation that has to fail.
    pub async fn create_topic_error(&mut self, topic: &str, partitions: i32) -> String {
        let answer = self.exchange(&json!({"do": "create", "topic": topic, "partitions": partitions})).await;
        answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{} created {topic} a second time: {answer}", self.name))
            .to_owned()
    }

    /// Sends the records and fills in the offset of each.
    pub async fn produce(&mut self, topic: &str, codec: &str, records: &mut [Record]) {
        let answer =
            self.ask(json!({"do": "produce", "topic": topic, "codec": codec, "records": records})).await;
        let offsets: Vec<i64> = self.field(&answer, "offsets");
        assert_eq!(offsets.len(), records.len(), "{} answered {offsets:?}", self.name);
        for (record, offset) in records.iter_mut().zip(offsets) {
            record.offset = offset;
        }
    }

    pub async fn subscribe(&mut self, topic: &str, group: &str) {
        self.ask(json!({"do": "subscribe", "topic": topic, "group": group})).await;
    }

    /// As a member of a group of KIP-848.
    pub async fn subscribe_with_consumer_protocol(&mut self, topic: &str, group: &str) {
        self.ask(json!({"do": "subscribe", "topic": topic, "group": group, "protocol": "consumer"})).await;
    }

    /// Begins a transaction of that transactional id.
    pub async fn begin(&mut self, id: &str) {
        self.ask(json!({"do": "begin", "id": id})).await;
    }

    /// Sends the records as part of the transaction, and waits until the broker has them.
    pub async fn send(&mut self, id: &str, topic: &str, records: &[Record]) -> Vec<i64> {
        let answer = self.ask(json!({"do": "send", "id": id, "topic": topic, "records": records})).await;
        self.field(&answer, "offsets")
    }

    /// Commits a group's offsets, by partition, as part of the transaction.
    pub async fn send_offsets(&mut self, id: &str, group: &str, topic: &str, offsets: &[(i32, i64)]) {
        let request =
            json!({"do": "send_offsets", "id": id, "group": group, "topic": topic, "offsets": offsets});
        self.ask(request).await;
    }

    pub async fn commit_transaction(&mut self, id: &str) {
        self.ask(json!({"do": "commit_transaction", "id": id})).await;
    }

    pub async fn abort_transaction(&mut self, id: &str) {
        self.ask(json!({"do": "abort_transaction", "id": id})).await;
    }

    /// The error of a commit that has to fail.
    pub async fn commit_transaction_error(&mut self, id: &str) -> String {
        let answer = self.exchange(&json!({"do": "commit_transaction", "id": id})).await;
        let error = answer["error"].as_str();
        error.unwrap_or_else(|| panic!("{} committed {id}: {answer}", self.name)).to_owned()
    }

    /// Ends its program as `kill -9` does: transactions stay open.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Waits until the member has exactly `count` partitions.
    pub async fn assignment(&mut self, count: usize) -> Vec<i32> {
        let answer = self.ask(json!({"do": "assignment", "partitions": count})).await;
        let mut partitions: Vec<i32> = self.field(&answer, "partitions");
        partitions.sort_unstable();
        partitions
    }

    /// Waits for the next `count` records, ordered by partition and offset.
    pub async fn poll(&mut self, count: usize) -> Vec<Record> {
        let answer = self.ask(json!({"do": "poll", "count": count})).await;
        self.records(&answer)
    }

    /// Reads all partitions of the topic from their starts, without a group, and only what is committed.
    pub async fn assign_committed(&mut self, topic: &str, partitions: i32) {
        self.ask(json!({"do": "assign", "topic": topic, "partitions": partitions})).await;
    }

    /// All further records of the assigned partitions, ordered by partition and offset.
    pub async fn drain(&mut self) -> Vec<Record> {
        let answer = self.ask(json!({"do": "drain"})).await;
        self.records(&answer)
    }

    pub async fn commit(&mut self) {
        self.ask(json!({"do": "commit"})).await;
    }

    pub async fn close(&mut self) {
        self.ask(json!({"do": "close"})).await;
    }

    async fn ask(&mut self, request: Value) -> Value {
        let answer = self.exchange(&request).await;
        let shown: String = request.to_string().chars().take(200).collect();
        assert!(
            answer.get("error").is_none(),
            "{} failed to {shown}: {answer}: {}",
            self.name,
            self.logged()
        );
        answer
    }

    async fn exchange(&mut self, request: &Value) -> Value {
        let what = &request["do"];
        let name = &self.name;
        let exchange = async {
            self.requests.write_all(format!("{request}\n").as_bytes()).await?;
            self.answers.next_line().await
        };
        let answer = tokio::time::timeout(LIMIT, exchange)
            .await
            .unwrap_or_else(|_| panic!("{name} did not answer {what} within {LIMIT:?}: {}", self.logged()));
        let Ok(Some(line)) = answer else {
            panic!("{name} went away at {what}: {answer:?}, {:?}: {}", self.child.try_wait(), self.logged());
        };
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{name} answered {line:?}: {e}"))
    }

    /// The end of what its program has logged.
    fn logged(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn records(&self, answer: &Value) -> Vec<Record> {
        let mut records: Vec<Record> = self.field(answer, "records");
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    fn field<T: serde::de::DeserializeOwned>(&self, answer: &Value, field: &str) -> T {
        serde_json::from_value(answer[field].clone())
            .unwrap_or_else(|e| panic!("{} answered {answer}: {e}", self.name))
    }
}
