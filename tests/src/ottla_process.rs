//! The `ottla` binary as a broker in a process of its own, which a test may kill.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::binary;

const LIMIT: Duration = Duration::from_secs(60);

pub struct OttlaProcess {
    child: Child,
    ready: Ready,
}

/// The line that `--ready json` prints once the broker serves.
#[derive(Debug, Deserialize)]
pub struct Ready {
    pub bootstrap_servers: String,
    pub pid: u32,
    pub data_dir: String,
}

impl OttlaProcess {
    /// Starts `ottla serve` on the data directory. It serves when this returns.
    pub async fn start(listen: &str, data_dir: &Path, options: &[&str]) -> OttlaProcess {
        let mut command = Command::new(binary::ottla().await);
        command
            .args(["serve", "--ready", "json", "--listen", listen, "--data-dir"])
            .arg(data_dir)
            .args(options);
        command.env("OTTLA_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the ottla binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        let line = tokio::time::timeout(LIMIT, stdout.next_line()).await.expect("ottla is ready in time");
        let line = line.expect("ottla prints text").expect("ottla prints a ready line before it ends");
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("ready line {line:?}: {e}"));
        OttlaProcess { child, ready }
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    pub fn bootstrap_servers(&self) -> &str {
        &self.ready.bootstrap_servers
    }

    /// Ends it as `kill -9` does: nothing of it runs any more.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    #[cfg(unix)]
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let kill = Command::new("kill").args(["-TERM", &self.ready.pid.to_string()]).status().await;
        assert!(kill.expect("kill runs").success());
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await.expect("ottla stops in time");
        ended.expect("a child can be waited for")
    }
}
