//! The command line.

use std::fs;
use std::process::{Command, Output};

use tempfile::tempdir;

use crate::harness::Kafka;

fn ottla_stream(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla-stream")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_file_prints_its_rows_and_says_where_its_checkpoint_is() {
    let (kafka, folder) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("my-topic", 1).await;
    kafka.put("my-topic", 0, ["hello"]).await;
    let job = folder.path().join("a job.sql");
    fs::write(
        &job,
        "-- prints all\r\nSELECT CAST(value AS STRING) AS message\r\nFROM STREAM `my-topic`;\r\n",
    )
    .unwrap();
    let servers = kafka.broker.bootstrap_servers();
    let flags =
        ["--bootstrap-server", &servers, "--trigger", "available-now", "--starting-offsets", "earliest"];
    let output = ottla_stream(&[&["run", job.to_str().unwrap()], &flags[..]].concat());
    let expected = "\
-------------------------------------------
Batch: 0
-------------------------------------------
+-------+
|message|
+-------+
|  hello|
+-------+

";
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), (expected, Some(0)));
    assert!(text(&output.stderr).contains("the checkpoint of this run is"), "{}", text(&output.stderr));
}

#[test]
fn errors_are_told_before_any_broker_is_asked() {
    for (arguments, message) in [
        (
            &["sql", "SELECT\n  value\nFROM STREAM t\nWHERE"][..],
            "Syntax error at or near end of input. SQLSTATE: 42601 (line 4, pos 5)",
        ),
        (&["sql", "SELECT\n  valeu FROM STREAM t"], "SQLSTATE: 42703; line 2 pos 2"),
        (
            &["sql", "SELECT no_such_format(timestamp, 'yyyy') FROM STREAM t"],
            "[UNRESOLVED_ROUTINE] Cannot resolve routine `no_such_format`",
        ),
        (&["run", "no-such-job.sql"], "cannot read the job no-such-job.sql"),
        (&["sql", "SELECT value FROM STREAM t", "--output-mode", "some"], "STREAMING_OUTPUT_MODE.INVALID"),
        (&["sql", "SELECT value FROM STREAM t", "--set", "numRow=5"], "--set numRow: no such option"),
        (&["sql", "SELECT value FROM STREAM t", "--set", "startingOffsets=newest"], "Expected e.g."),
        (&["sql", "SELECT value FROM STREAM t", "--trigger", "sometimes"], "is no trigger"),
    ] {
        let output = ottla_stream(arguments);
        let stderr = text(&output.stderr);
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_query_after_its_batch() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let (kafka, folder) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    kafka.put("t", 0, ["x"]).await;
    let mut engine = Command::new(env!("CARGO_BIN_EXE_ottla-stream"))
        .args(["sql", "SELECT value FROM STREAM t", "--starting-offsets", "earliest", "--bootstrap-server"])
        .args([&kafka.broker.bootstrap_servers(), "--checkpoint"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first_line = String::new();
    let mut output = BufReader::new(engine.stdout.take().unwrap());
    output.read_line(&mut first_line).unwrap();
    Command::new("kill").args(["-TERM", &engine.id().to_string()]).status().unwrap();
    assert_eq!(engine.wait().unwrap().code(), Some(0));
    assert!(folder.path().join("commits").join("0").exists());
}

#[test]
fn help_shows_examples() {
    let help = text(&ottla_stream(&["sql", "--help"]).stdout);
    assert!(help.contains("FROM STREAM `my-topic`") && help.contains("--starting-offsets"), "{help}");
}
