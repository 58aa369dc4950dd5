//! The job that is ended: it reads a topic in many small batches, and writes a sink.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ottla_client::{Acks, Client, NewTopic};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_tests::binary;
use tokio::process::Command;

use crate::output::Output;

const TOPIC: &str = "input";
const PARTITIONS: i32 = 3;
const RECORDS: i64 = 40;
/// 2026-01-01, in milliseconds.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Query {
    Stateless,
    /// Append mode: each window is given out once, by the batch whose watermark passes it.
    Windows,
}

pub(crate) struct Job {
    servers: String,
    script: PathBuf,
    output: Output,
    target: String,
}

/// Records a second apart, in each partition.
pub(crate) async fn fill(client: &Client) {
    let mut topic = NewTopic::new(TOPIC).with_partitions(PARTITIONS);
    // The records are years old, and the broker would delete them while a test takes its time.
    topic.configs.push(("retention.ms".to_owned(), "-1".to_owned()));
    client.create_topics(&[topic]).await.expect("the topic is created");
    for partition in 0..PARTITIONS {
        let mut batch = BatchBuilder::new(Compression::None);
        for record in 0..RECORDS {
            let value = format!("{partition}-{record}");
            batch.push(EPOCH_MS + record * 1_000, None, Some(value.as_bytes())).expect("it is small");
        }
        let records = batch.build().expect("it has records");
        client.produce(TOPIC, partition, records, Acks::All).await.expect("it is appended");
    }
}

impl Job {
    pub(crate) async fn new(
        servers: &str,
        query: Query,
        output: &Output,
        dir: &Path,
        name: &str,
        client: &Client,
    ) -> Job {
        let target = output.target(dir, &format!("{name}-{query:?}"));
        output.prepare(client, &target).await;
        let select = match query {
            Query::Stateless => "SELECT CAST(value AS STRING) AS value FROM STREAM input_records",
            Query::Windows => {
                "SELECT concat_ws(' ', CAST(window.start AS STRING), CAST(n AS STRING), CAST(last AS STRING)) AS value FROM (\
                 SELECT window, count(*) AS n, max(offset) AS last \
                 FROM STREAM input_records WATERMARK timestamp DELAY OF INTERVAL 1 SECOND \
                 GROUP BY window(timestamp, '2 seconds'))"
            }
        };
        let text = format!(
            // A batch without data is not made up for after a restart, as in Spark: its windows come with the next data.
            "SET spark.sql.session.timeZone = UTC;\n\
             SET spark.sql.streaming.noDataMicroBatches.enabled = false;\n\
             CREATE TABLE input_records USING kafka OPTIONS (subscribe '{TOPIC}', startingOffsets 'earliest', \
             maxOffsetsPerTrigger '12');\n\
             CREATE STREAMING TABLE results USING {} AS {select};\n",
            output.using(&target)
        );
        let script = dir.join(format!("{name}-{query:?}-{}.sql", output.name()));
        fs::write(&script, text).expect("the job is written");
        Job { servers: servers.to_owned(), script, output: output.clone(), target }
    }

    /// Whether it came to its end. It may be ended when it has passed so many steps.
    pub(crate) async fn run(&self, checkpoint: &Path, steps: Option<usize>) -> bool {
        let mut command = Command::new(binary::ottla_stream().await);
        command.arg("run").arg(&self.script).args(["--bootstrap-server", &self.servers]);
        command.args(["--trigger", "available-now", "--checkpoint"]).arg(checkpoint);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(steps) = steps {
            command.env("OTTLA_CRASH_POINT", steps.to_string());
        }
        let output = tokio::time::timeout(LIMIT, command.output()).await.expect("the job does not hang");
        let output = output.expect("ottla-stream runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        // A process that is ended by a signal has no code; one that failed by itself has.
        assert!(output.status.code().unwrap_or(0) == 0, "{stderr}");
        output.status.success()
    }

    /// What the sink holds, sorted.
    pub(crate) async fn rows(&self, client: &Client) -> Vec<String> {
        let mut rows = self.output.rows(client, &self.target).await;
        rows.sort();
        rows
    }
}
