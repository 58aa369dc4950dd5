//! The runtimes of the foreign programs: a test that lacks one is skipped, or fails where they are required.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::console;

/// Names the runtimes, separated by commas, whose absence is a failure: `java,python,node,go,postgres`.
pub const REQUIRE_CLIENTS: &str = "OTTLA_REQUIRE_CLIENTS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// A JDK of at least 17, and Maven.
    Java,
    /// Python of at least 3.10 with `venv`.
    Python,
    /// Node.js of any version with npm, which installs the version the tests need.
    Node,
    Go,
}

/// Whether all these runtimes are here. Says so on the console when one is missing.
///
/// # Panics
/// When a missing one is named in [`REQUIRE_CLIENTS`].
pub fn present(runtimes: &[Runtime]) -> bool {
    runtimes.iter().all(|runtime| runtime.is_present())
}

impl Runtime {
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Java => "java",
            Runtime::Python => "python",
            Runtime::Node => "node",
            Runtime::Go => "go",
        }
    }

    fn is_present(self) -> bool {
        let missing: Vec<&str> =
            self.programs().iter().filter(|program| !answers(program)).map(|program| program[0]).collect();
        if missing.is_empty() {
            return true;
        }
        let missing = missing.join(" and ");
        assert!(
            !self.is_required(),
            "{REQUIRE_CLIENTS} asks for {}, but {missing} cannot be run",
            self.name()
        );
        console::say(&format!(
            "skipped: {missing} cannot be run, which the clients for {} need",
            self.name()
        ));
        false
    }

    fn is_required(self) -> bool {
        static REQUIRED: OnceLock<String> = OnceLock::new();
        let required = REQUIRED.get_or_init(|| std::env::var(REQUIRE_CLIENTS).unwrap_or_default());
        required.split(',').any(|name| name.trim() == self.name())
    }

    /// Commands that succeed where the runtime is complete.
    fn programs(self) -> &'static [&'static [&'static str]] {
        match self {
            Runtime::Java => &[&["javac", "-version"], &[MAVEN, "-version"]],
            Runtime::Python => &[&[PYTHON, "-c", "import ensurepip, venv"]],
            Runtime::Node => &[&["node", "--version"], &[NPM, "--version"]],
            Runtime::Go => &[&["go", "version"]],
        }
    }
}

pub const MAVEN: &str = if cfg!(windows) { "mvn.cmd" } else { "mvn" };
pub const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
pub const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

fn answers(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
