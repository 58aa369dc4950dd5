//! PySpark and its Kafka connector, fetched by pip and Maven into cargo's target folder, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::{self, BuildError};

#[derive(Debug)]
pub(super) struct Spark {
    pub(super) python: PathBuf,
    /// With commas between them.
    pub(super) jars: String,
    /// `benches/spark/query.py`.
    pub(super) program: PathBuf,
}

/// `python` has PySpark already; without it, a virtual environment is made.
pub(super) fn spark(python: Option<PathBuf>) -> Result<Spark, BuildError> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = artifacts::tools_dir()?;
    let python = match python {
        // Not canonical: a virtual environment's python is a link, and knows its packages by where it lies.
        Some(python) => std::path::absolute(python)?,
        None => virtual_environment(&tools.join("pyspark-4.1.1"), sources)?,
    };
    let jars = tools.join("spark-kafka-4.1.1");
    artifacts::copy_jars(&sources.join("../tests/java/spark-kafka"), &jars)?;
    let mut paths = Vec::new();
    for jar in fs::read_dir(&jars)? {
        paths.push(jar?.path().display().to_string());
    }
    Ok(Spark { python, jars: paths.join(","), program: sources.join("spark/query.py") })
}

/// The folder gets its last file once all is installed, so that a run that was stopped leaves nothing that looks so.
fn virtual_environment(folder: &Path, sources: &Path) -> Result<PathBuf, BuildError> {
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    if installed.exists() {
        return Ok(python);
    }
    artifacts::run("python3", Command::new("python3").args(["-m", "venv"]).arg(folder), sources)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    pip.arg(sources.join("../tests/python/requirements-spark.txt"));
    artifacts::run("pip", &mut pip, sources)?;
    fs::write(installed, "")?;
    Ok(python)
}
