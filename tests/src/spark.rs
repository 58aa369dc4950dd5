//! PySpark with its Kafka connector: the streaming engine that Ottla's must be interchangeable with.

use std::path::Path;

use serde::Deserialize;

use crate::install;
use crate::java::copy_jars;
use crate::program::Program;
use crate::python;

/// A micro-batch that Spark ran.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MicroBatch {
    pub checkpoint: String,
    #[serde(rename = "batch")]
    pub id: i64,
    /// Partition, offset and value.
    pub rows: Vec<(i32, i64, String)>,
}

/// Streams the topic, up to where it ends, once for each checkpoint: from its start where the checkpoint is new.
pub async fn stream(bootstrap_servers: &str, topic: &str, checkpoints: &[&Path]) -> Vec<MicroBatch> {
    const CONNECTOR: &str = "java/spark-kafka/pom.xml";
    let dir =
        install::once("spark-kafka", &[CONNECTOR], async |dir| copy_jars(CONNECTOR, &dir.join("jars")).await)
            .await;
    let jars = std::fs::read_dir(dir.join("jars")).expect("Maven has copied the jars");
    let jars: Vec<String> =
        jars.map(|jar| jar.expect("a folder that can be read").path().display().to_string()).collect();
    let python = Program::new(python::with("requirements-spark.txt").await)
        .shown_as("PySpark")
        .env("SPARK_JARS", jars.join(","));
    let program = install::source("python/spark_stream.py");
    let python =
        python.args([program.as_os_str(), bootstrap_servers.as_ref(), topic.as_ref()]).args(checkpoints);
    let finished = python.run().await;
    let batch = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    finished.lines().into_iter().map(batch).collect()
}
