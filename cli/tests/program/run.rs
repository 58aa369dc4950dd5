//! Runs `ottla` to its end.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ottla() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ottla"))
}

/// Runs `ottla` with nothing on stdin.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_with_input(args, b"")
}

pub(crate) fn run_with_input(args: &[&str], input: &[u8]) -> Ran {
    let mut command = ottla();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that fails before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

impl Ran {
    /// Its stdout, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Its stderr, if it failed with this exit code, and printed nothing.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "");
        self.stderr
    }

    /// The objects that it printed, one a line.
    #[track_caller]
    pub(crate) fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
