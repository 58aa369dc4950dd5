//! Tells when a connection has been silent: first for a moment, then for too long.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A connection that has been silent for this long gives its read buffer back.
const QUIET: Duration = Duration::from_secs(2);

/// The silence that has come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It may end again.
    Quiet,
    /// It has lasted for `connections.max.idle.ms`.
    TooLong,
}

/// Each silence is told once: an idle broker wakes for a connection two times, not more.
pub(super) struct IdleTimer {
    sleep: Pin<Box<Sleep>>,
    quiet: Duration,
    /// From quiet to too long; nothing where a connection may be idle for ever.
    patience: Option<Duration>,
    touched: bool,
    told_quiet: bool,
}

impl IdleTimer {
    /// `max_idle_ms` is `connections.max.idle.ms`; below zero is no limit.
    pub(super) fn new(max_idle_ms: i64) -> IdleTimer {
        let max_idle = u64::try_from(max_idle_ms).ok().map(Duration::from_millis);
        let quiet = max_idle.map_or(QUIET, |max_idle| max_idle.min(QUIET));
        IdleTimer {
            sleep: Box::pin(sleep(quiet)),
            quiet,
            patience: max_idle.map(|max_idle| max_idle - quiet),
            touched: false,
            told_quiet: false,
        }
    }

    /// Bytes have come or gone.
    pub(super) fn touch(&mut self) {
        self.touched = true;
        if std::mem::take(&mut self.told_quiet) {
            self.sleep.as_mut().reset(Instant::now() + self.quiet);
        }
    }

    pub(super) async fn passed(&mut self) -> Silence {
        if self.told_quiet && self.patience.is_none() {
            return std::future::pending().await;
        }
        self.sleep.as_mut().await;
        // Moved on here rather than at every read, which would cost each request a turn of the timer wheel.
        while std::mem::take(&mut self.touched) {
            self.sleep.as_mut().reset(Instant::now() + self.quiet);
            self.sleep.as_mut().await;
        }
        if self.told_quiet {
            return Silence::TooLong;
        }
        self.told_quiet = true;
        self.sleep.as_mut().reset(Instant::now() + self.patience.unwrap_or_default());
        Silence::Quiet
    }

    /// Waits for [`Silence::TooLong`].
    pub(super) async fn passed_for_good(&mut self) {
        while self.passed().await != Silence::TooLong {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quiet_is_told_once_and_only_after_the_last_read() {
        let mut idle = IdleTimer::new(-1);
        tokio::time::advance(QUIET / 2).await;
        idle.touch();
        let started_at = Instant::now();
        assert_eq!(idle.passed().await, Silence::Quiet);
        assert!(started_at.elapsed() >= QUIET, "{:?}", started_at.elapsed());
        assert!(timeout(100_000 * QUIET, idle.passed()).await.is_err(), "it is not told again");
        idle.touch();
        assert_eq!(idle.passed().await, Silence::Quiet);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_for_too_long_is_counted_from_the_last_read() {
        let mut idle = IdleTimer::new(600_000);
        assert_eq!(idle.passed().await, Silence::Quiet);
        tokio::time::advance(Duration::from_millis(500_000)).await;
        idle.touch();
        assert_eq!(idle.passed().await, Silence::Quiet);
        let quiet_at = Instant::now();
        assert_eq!(idle.passed().await, Silence::TooLong);
        assert_eq!(quiet_at.elapsed(), Duration::from_millis(598_000));
    }
}
