//! Java programs of this crate, each compiled against the jars of a `pom.xml`.

use std::path::Path;

use tokio::process::Command;

use crate::install::{self, source};
use crate::program::Program;
use crate::runtime::MAVEN;

/// Pinned, so that the same jars land in the same folder everywhere.
const COPY_DEPENDENCIES: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// A JVM that lives for a second or two: quick to start, no compiler threads, little memory.
const SHORT_LIVED: &[&str] = &["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m"];

/// A JVM with the jars of `java/<project>/pom.xml`, and a program (its path under `java/`) compiled against them, on its
/// class path.
pub(crate) async fn java(project: &str, program: &str) -> Command {
    let (pom, program) = (format!("java/{project}/pom.xml"), format!("java/{program}"));
    let dir = install::once(project, &[&pom, &program], async |dir| {
        copy_jars(&pom, &dir.join("jars")).await;
        compile(&program, dir).await;
    })
    .await;
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

/// Lets Maven copy the run-time dependencies of a `pom.xml` into a folder.
pub(crate) async fn copy_jars(pom: &str, into: &Path) {
    let maven = Program::new(MAVEN).args(["-q", "-B", "-ntp", COPY_DEPENDENCIES, "-DincludeScope=runtime"]);
    maven
        .args([format!("-DoutputDirectory={}", into.display()), format!("-f={}", source(pom).display())])
        .run()
        .await;
}

async fn compile(program: &str, dir: &Path) {
    let javac = Program::new("javac").args([
        "-cp".as_ref(),
        dir.join("jars").join("*").as_os_str(),
        "-d".as_ref(),
        dir.join("classes").as_os_str(),
    ]);
    javac.args([source(program)]).run().await;
}
