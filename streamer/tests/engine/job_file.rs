//! Jobs in a file, which the program runs as a user would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::{TempDir, tempdir};

use crate::harness::Kafka;

/// A run of the program that has ended.
pub(crate) struct Run {
    pub(crate) output: Output,
}

impl Run {
    pub(crate) fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.output.stdout).lines().map(str::to_owned).collect()
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        self.lines().into_iter().filter(|line| !line.starts_with("{\"progress\"")).collect()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub(crate) fn succeeded(self) -> Run {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.stderr());
        self
    }
}

/// A broker, and a folder with a checkpoint `cp`.
pub(crate) struct Bench {
    pub(crate) kafka: Kafka,
    folder: TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Bench {
        Bench { kafka: Kafka::start().await, folder: tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the job over what there is now.
    pub(crate) fn run(&self, job: &str, flags: &[&str]) -> Run {
        let file = self.path("job.sql");
        fs::write(&file, job).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ottla-stream"))
            .args([Path::new("run"), &file])
            .args(["--bootstrap-server", &self.kafka.broker.bootstrap_servers()])
            .args(["--trigger", "available-now", "--format", "json", "--checkpoint"])
            .arg(self.path("cp"))
            .args(flags)
            .output()
            .unwrap();
        Run { output }
    }
}
