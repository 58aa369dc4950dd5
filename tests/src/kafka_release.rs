//! Kafka's releases under test, from Maven.

use std::path::PathBuf;

use tokio::process::Command;

use crate::install::{self, source};
use crate::program::Program;
use crate::runtime::MAVEN;

/// Pinned, so that the same jars land in the same folder everywhere.
const COPY_DEPENDENCIES: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// A JVM that lives for a second or two: quick to start, no compiler threads, little memory.
const SHORT_LIVED: &[&str] = &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaRelease {
    V4_3_1,
    /// Of 2021; the release that many tutorials run.
    V2_8_1,
}

impl KafkaRelease {
    pub const ALL: [KafkaRelease; 2] = [KafkaRelease::V4_3_1, KafkaRelease::V2_8_1];

    pub fn version(self) -> &'static str {
        match self {
            KafkaRelease::V4_3_1 => "4.3.1",
            KafkaRelease::V2_8_1 => "2.8.1",
        }
    }

    /// A JVM with the release's jars, and the Java agent compiled against them, on its class path.
    pub async fn java(self) -> Command {
        let dir = self.install().await;
        let mut java = Command::new("java");
        java.args(SHORT_LIVED)
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .env_remove("JAVA_TOOL_OPTIONS");
        java.arg("-cp").arg(
            std::env::join_paths([dir.join("classes"), dir.join("jars").join("*")])
                .expect("a path without separators"),
        );
        java
    }

    async fn install(self) -> PathBuf {
        let name = format!("kafka-{}", self.version());
        let pom = format!("java/{name}/pom.xml");
        install::once(&name, &[&pom, "java/agent/Agent.java"], async |dir| {
            copy_jars(&pom, &dir.join("jars")).await;
            let javac = Program::new("javac").args([
                "-cp".as_ref(),
                dir.join("jars").join("*").as_os_str(),
                "-d".as_ref(),
                dir.join("classes").as_os_str(),
            ]);
            javac.args([source("java/agent/Agent.java")]).run().await;
        })
        .await
    }
}

/// Lets Maven copy the run-time dependencies of a `pom.xml` into a folder.
pub(crate) async fn copy_jars(pom: &str, into: &std::path::Path) {
    let maven = Program::new(MAVEN).args(["-q", "-B", "-ntp", COPY_DEPENDENCIES, "-DincludeScope=runtime"]);
    maven
        .args([format!("-DoutputDirectory={}", into.display()), format!("-f={}", source(pom).display())])
        .run()
        .await;
}
