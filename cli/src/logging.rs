//! The broker's log, on stderr; stdout is for the ready line alone.

use std::io::{self, IsTerminal};

use anstyle_query::{no_color, term_supports_color, windows::enable_ansi_colors};
use tracing_subscriber::EnvFilter;

/// Logs from `info` on, or what the environment's `OTTLA_LOG` says (`debug`, `ottla_broker=trace`, …).
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("OTTLA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(has_colour());
    // Only a second call could fail.
    let _ = log.with_target(false).try_init();
}

/// Windows' console shows colours only when it is told to.
fn has_colour() -> bool {
    io::stderr().is_terminal() && !no_color() && term_supports_color() && enable_ansi_colors() != Some(false)
}
