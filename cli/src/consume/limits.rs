//! When `ottla consume` stops by itself.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

#[derive(Debug, Clone, Args)]
pub(super) struct Limits {
    /// Stop after so many records
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_messages: Option<u64>,
    /// Stop when no record has come for so long
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Stop at the ends that the partitions have at the start
    #[arg(long)]
    pub(super) until_end: bool,
}

impl Limits {
    pub(super) fn is_enough(&self, printed: u64) -> bool {
        self.max_messages.is_some_and(|max_messages| printed >= max_messages)
    }

    /// When to stop if nothing has come since then.
    pub(super) fn idle_deadline(&self, since: Instant) -> Option<Instant> {
        self.timeout_ms.and_then(|timeout_ms| since.checked_add(Duration::from_millis(timeout_ms)))
    }
}
