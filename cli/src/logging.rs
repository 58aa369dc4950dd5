//! The broker's log, on stderr; stdout is for the ready line alone.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Logs from `info` on, or what the environment's `OTTLA_LOG` says (`debug`, `ottla_broker=trace`, …).
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("OTTLA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour);
    // Only a second call could fail.
    let _ = log.with_target(false).try_init();
}
