//! A foreign program that runs to its end, within a time limit.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::console;

/// Enough for the slowest of them on a busy machine of 2 cores; a program that hangs is stopped then.
const LIMIT: Duration = Duration::from_secs(180);

/// A program that is about to run.
pub struct Program {
    shown: String,
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Program {
    pub fn new(executable: impl AsRef<OsStr>) -> Program {
        Program::from(Command::new(executable))
    }

    /// Names it on the console and in failures, in place of its executable and the arguments so far.
    pub fn shown_as(mut self, name: impl Into<String>) -> Program {
        self.shown = name.into();
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Program {
        for arg in args {
            self.shown = format!("{} {}", self.shown, arg.as_ref().to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    pub fn in_dir(mut self, dir: &std::path::Path) -> Program {
        self.command.current_dir(dir);
        self
    }

    /// What it reads on its standard input; nothing unless told.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Program {
        self.input = input.into();
        self
    }

    pub fn limit(mut self, limit: Duration) -> Program {
        self.limit = limit;
        self
    }

    /// Runs it and expects it to succeed.
    ///
    /// # Panics
    /// With all that it printed, when it fails.
    pub async fn run(self) -> Finished {
        let finished = self.finish().await;
        assert!(finished.status.success(), "{finished}");
        finished
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Panics
    /// When it cannot be started, or does not end in time.
    pub async fn finish(mut self) -> Finished {
        let shown: String = self.shown.chars().take(160).collect();
        let started = Instant::now();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("cannot run {shown}: {e}"));
        let mut stdin = child.stdin.take().expect("its standard input is a pipe");
        let feed = async move {
            // A program may end before it has read everything.
            let _ = stdin.write_all(&self.input).await;
        };
        let run = async { tokio::join!(child.wait_with_output(), feed).0 };
        let Ok(output) = tokio::time::timeout(self.limit, run).await else {
            panic!("{shown} did not end within {} s", self.limit.as_secs());
        };
        let output = output.unwrap_or_else(|e| panic!("{shown}: {e}"));
        console::say(&format!("{shown} ({:.1} s)", started.elapsed().as_secs_f32()));
        Finished {
            shown,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl From<Command> for Program {
    fn from(command: Command) -> Program {
        let shown = command.as_std().get_program().to_string_lossy().into_owned();
        Program { shown, command, input: Vec::new(), limit: LIMIT }
    }
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Finished {
    pub shown: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Both outputs. Kafka's releases differ in where they print what.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// # Panics
    /// When neither output has `text`.
    pub fn expect(&self, text: &str) -> &Finished {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "no {text:?} in what was printed by {self}"
        );
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})\nstdout: {}\nstderr: {}", self.shown, self.status, self.stdout, self.stderr)
    }
}
