//! `ottla-stream state` on a checkpoint that a query has left.

use std::process::{Command, Output};

use ottla_stream::output_mode::OutputMode;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

fn state(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottla-stream")).arg("state").args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_rows_of_an_aggregation_are_shown() {
    let (kafka, folder) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("words", 1).await;
    kafka.put("words", 0, ["a", "b", "a"]).await;
    let sql = "SELECT CAST(value AS STRING) AS word, count(*) AS n FROM STREAM words GROUP BY word";
    let job = Job::new(sql).output_mode(OutputMode::Complete);
    assert_eq!(job.run(&kafka, folder.path()).await.error, None);
    kafka.put("words", 0, ["c"]).await;
    assert_eq!(job.run(&kafka, folder.path()).await.error, None);

    let checkpoint = folder.path().to_str().unwrap();
    let versions = lines(&state(&[checkpoint, "--format", "json"]));
    let shown: Vec<_> =
        versions.iter().map(|line| (&line["name"], &line["version"], &line["rows"])).collect();
    let name = json!("stateStoreSave");
    assert_eq!(shown, [(&name, &json!(1), &json!(2)), (&name, &json!(2), &json!(3))]);
    assert_eq!(versions[0]["files"].as_array().map(Vec::len), Some(1));

    let rows = lines(&state(&[checkpoint, "--rows", "--version", "1", "--format", "json"]));
    let counts: Vec<_> =
        rows.iter().map(|row| row["value"].as_object().unwrap().values().next().unwrap()).collect();
    assert_eq!(counts, [2, 1]);
    assert!(rows[0]["key"].as_object().unwrap().values().any(|word| word == "a"), "{}", rows[0]);

    let listed = String::from_utf8_lossy(&state(&[checkpoint]).stdout).into_owned();
    assert!(listed.starts_with("operator 0 stateStoreSave: keys ("), "{listed}");
    assert!(listed.contains("|version|rows|bytes|files"), "{listed}");
    assert!(listed.contains("|2      |3   |"), "{listed}");

    let table = String::from_utf8_lossy(&state(&[checkpoint, "--keys"]).stdout).into_owned();
    assert!(table.starts_with("operator 0 stateStoreSave, version 2\n+"), "{table}");
    assert_eq!(
        table.lines().filter(|line| ["|a  ", "|b  ", "|c  "].iter().any(|row| line.starts_with(row))).count(),
        3,
        "{table}"
    );
}

#[test]
fn a_folder_without_state_is_named() {
    let folder = tempdir().unwrap();
    let output = state(&[folder.path().to_str().unwrap(), "--operator", "3"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("has no state of operator 3"), "{error}");
    let output = state(&[folder.path().join("nowhere").to_str().unwrap()]);
    assert!(!output.status.success());
}
