//! `ottla-stream` in a process of its own.

use std::path::Path;

use serde_json::Value;

use crate::binary;
use crate::program::Program;

/// What a run printed.
#[derive(Debug, Default)]
pub struct Streamed {
    /// The rows of all micro-batches, each a JSON object.
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
}

/// Runs a query over what its topics hold at present: from their start where the checkpoint is new.
pub async fn available_now(
    sql: &str,
    bootstrap_servers: &str,
    checkpoint: &Path,
    options: &[&str],
) -> Streamed {
    let stream = Program::new(binary::ottla_stream().await).shown_as("ottla-stream").args(["sql", sql]);
    let stream = stream.args(["--bootstrap-server", bootstrap_servers, "--starting-offsets", "earliest"]);
    let stream =
        stream.args(["--trigger", "available-now", "--format", "json", "--progress", "--checkpoint"]);
    let finished = stream.args([checkpoint]).args(options).run().await;
    let mut streamed = Streamed::default();
    for line in finished.lines() {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        match row.get("progress") {
            Some(progress) => streamed.progress.push(progress.clone()),
            None => streamed.rows.push(row),
        }
    }
    streamed
}
