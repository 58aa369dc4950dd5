//! The broker's log, on stderr; stdout is for the ready line alone.

use std::io::{self, IsTerminal};

use anstyle_query::{no_color, term_supports_color, windows::enable_ansi_colors};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs from `info` on, or what the environment's `OTTLA_LOG` says (`debug`, `info,ottla_broker=trace`, …).
pub(crate) fn start() {
    let wanted = std::env::var("OTTLA_LOG").ok().and_then(|targets| targets.parse::<Targets>().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(has_colour()).with_target(false);
    // Only a second call could fail.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

/// Windows' console shows colours only when it is told to.
fn has_colour() -> bool {
    io::stderr().is_terminal() && !no_color() && term_supports_color() && enable_ansi_colors() != Some(false)
}
