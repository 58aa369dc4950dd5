//! The binary under `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::harness::Kafka;

const ROWS: usize = 400;

/// Runs the query until `lines` lines have come, then kills it. Returns the rows whose batch was not reported as done
/// apart from the others.
fn run_and_kill(servers: &str, checkpoint: &Path, lines: usize) -> (Vec<String>, Vec<String>) {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_ottla-stream"))
        .args(["sql", "SELECT CAST(value AS STRING) AS v FROM STREAM t", "--format", "json", "--progress"])
        .args([
            "--starting-offsets",
            "earliest",
            "--set",
            "maxOffsetsPerTrigger=9",
            "--bootstrap-server",
            servers,
        ])
        .args(["--trigger", "available-now"])
        .arg("--checkpoint")
        .arg(checkpoint)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(engine.stdout.take().unwrap()).lines();
    let (mut done, mut open) = (Vec::new(), Vec::new());
    let mut take = |line: String| match line.starts_with("{\"progress\"") {
        true => done.append(&mut open),
        false => open.push(line),
    };
    output.by_ref().take(lines).for_each(|line| take(line.unwrap()));
    engine.kill().unwrap();
    output.map_while(Result::ok).for_each(take);
    engine.wait().unwrap();
    (done, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_and_none_of_a_finished_batch_comes_again() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 2).await;
    for partition in 0..2 {
        let values = (0..ROWS / 2).map(|value| format!("{partition}-{value}"));
        kafka.put("t", partition, values).await;
    }
    let servers = kafka.broker.bootstrap_servers();
    let mut times = BTreeMap::<String, usize>::new();
    let mut unfinished = Vec::new();
    let mut lines = 1;
    loop {
        lines = lines * 7 % 53 + 5;
        let (done, open) = run_and_kill(&servers, checkpoint.path(), lines);
        let is_end = done.is_empty() && open.is_empty();
        // A kill between a commit and its report leaves rows that do not come again.
        for row in std::mem::replace(&mut unfinished, open) {
            if !done.contains(&row) && !unfinished.contains(&row) {
                *times.entry(row).or_default() += 1;
            }
        }
        for row in done {
            *times.entry(row).or_default() += 1;
        }
        if is_end {
            break;
        }
    }
    let expected = (0..2).flat_map(|partition| (0..ROWS / 2).map(move |value| (partition, value)));
    let expected =
        expected.map(|(partition, value)| (format!("{{\"v\":\"{partition}-{value}\"}}"), 1)).collect();
    assert_eq!(times, expected);
}
