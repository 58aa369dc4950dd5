//! Where the broker gets its time from. A test hands in a clock that it moves itself.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A cheap handle on a source of time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { started_at: Instant },
    Manual(Arc<watch::Sender<i64>>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Source::System { started_at: Instant::now() })
    }

    /// A clock that stands at `now_ms` until [`Clock::advance`] moves it.
    pub fn manual(now_ms: i64) -> Clock {
        Clock(Source::Manual(Arc::new(watch::Sender::new(now_ms))))
    }

    /// Moves a manual clock and wakes whoever's deadline has come.
    ///
    /// # Panics
    /// On a system clock: only a test advances time.
    pub fn advance(&self, by: Duration) {
        let Source::Manual(now_ms) = &self.0 else { panic!("only a manual clock can be advanced") };
        now_ms.send_modify(|now_ms| *now_ms += millis(by));
    }

    /// Wall-clock time in milliseconds since the epoch: what stamps records and commits.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Source::Manual(now_ms) => *now_ms.borrow(),
        }
    }

    /// Time that never goes back, from an arbitrary start: what work is measured in.
    pub(crate) fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { started_at } => started_at.elapsed(),
            Source::Manual(now_ms) => Duration::from_millis(now_ms.borrow().unsigned_abs()),
        }
    }

    /// Milliseconds that never go back, from an arbitrary start: what deadlines are reckoned in.
    pub fn monotonic_ms(&self) -> i64 {
        millis(self.monotonic())
    }

    /// Returns once [`Clock::monotonic_ms`] has reached `deadline_ms`.
    pub async fn sleep_until(&self, deadline_ms: i64) {
        match &self.0 {
            Source::System { .. } => {
                let remaining_ms = deadline_ms.saturating_sub(self.monotonic_ms()).max(0);
                tokio::time::sleep(Duration::from_millis(remaining_ms.unsigned_abs())).await;
            }
            Source::Manual(now_ms) => {
                // An error means that the last sender is gone; this handle is one, so it cannot happen.
                let _ = now_ms.subscribe().wait_for(|now_ms| *now_ms >= deadline_ms).await;
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn manual_clock_wakes_a_sleeper_when_its_deadline_comes() {
        let clock = Clock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(1_500).await;
                clock.monotonic_ms()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(499));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        assert_eq!(sleeper.await.unwrap(), 1_500);
    }

    #[test]
    fn monotonic_time_of_the_system_clock_does_not_go_back() {
        let clock = Clock::system();
        let first_ms = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= first_ms);
        assert!(clock.now_ms() > 1_700_000_000_000);
    }
}
