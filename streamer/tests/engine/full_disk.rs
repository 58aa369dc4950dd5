//! No space left, at each write to the checkpoint and to the log of a file sink.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::tempdir;

use crate::harness::Kafka;

const SECONDS: usize = 24;

const JOB: &str = "SET spark.sql.session.timeZone = UTC;
    CREATE TABLE t USING kafka OPTIONS (subscribe 'TOPIC', startingOffsets 'earliest', maxOffsetsPerTrigger 7);
    CREATE TEMPORARY VIEW v AS
      SELECT CAST(concat('2026-01-01T00:00:', CAST(value AS STRING), 'Z') AS TIMESTAMP) AS ts FROM STREAM t;
    CREATE STREAMING TABLE windows USING json OPTIONS (path 'OUT') AS
      SELECT CAST(window.start AS STRING) AS start, count(*) AS n
      FROM STREAM v WATERMARK ts DELAY OF INTERVAL 0 SECONDS GROUP BY window(ts, '1 second');";

/// One run of the job in its folder; there is space for `writes` alone.
fn run(servers: &str, topic: &str, folder: &Path, writes: Option<u64>) -> Output {
    let job = folder.join("job.sql");
    fs::write(&job, JOB.replace("TOPIC", topic).replace("OUT", &folder.join("out").display().to_string()))
        .unwrap();
    let mut engine = Command::new(env!("CARGO_BIN_EXE_ottla-stream"));
    engine.arg("run").arg(job).args(["--bootstrap-server", servers]);
    engine.args(["--trigger", "available-now", "--checkpoint"]).arg(folder.join("checkpoint"));
    if let Some(writes) = writes {
        engine.env("OTTLA_DISK_FULL_FROM", (writes + 1).to_string());
    }
    engine.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_with_space_again_nothing_is_lost_or_doubled() {
    let kafka = Kafka::start().await;
    let servers = kafka.broker.bootstrap_servers();
    let expected = (1..=SECONDS).map(|second| format!(r#"{{"start":"2026-01-01 00:00:{second:02}","n":1}}"#));
    let expected: Vec<_> = expected.collect();
    for writes in 0.. {
        let folder = tempdir().unwrap();
        let topic = format!("t{writes}");
        kafka.create(&topic, 1).await;
        kafka.put(&topic, 0, (1..=SECONDS).map(|second| format!("{second:02}"))).await;
        let output = run(&servers, &topic, folder.path(), Some(writes));
        if output.status.success() {
            assert!(writes > 20, "a run writes {writes} times");
            break;
        }
        let (error, named) = (String::from_utf8_lossy(&output.stderr), folder.path().display().to_string());
        assert!(error.contains(&named) && error.contains("no storage space"), "{writes}: {error}");
        // What ends the last window. A batch without data is not made up for after a restart, as in Spark.
        kafka.put(&topic, 0, ["59"]).await;
        let again = run(&servers, &topic, folder.path(), None);
        assert!(again.status.success(), "{writes}: {}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(rows(&folder.path().join("out")), expected, "{writes}");
    }
}

/// The rows of all files, of which a batch that failed has left none.
fn rows(out: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(out).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            rows.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
    }
    rows.sort();
    rows
}
