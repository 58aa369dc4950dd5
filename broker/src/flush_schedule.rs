//! Which logs have records that are to be on the disk soon: those with `flush.ms`, and those that have begun a segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_storage::{Log, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The logs that wait for their flush, each once. As long as there is none, nothing wakes.
pub(crate) struct FlushSchedule {
    clock: Clock,
    state: Mutex<State>,
    sooner: Notify,
    settled: Notify,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<TopicPartition, Waiting>,
    /// Of those that were due.
    is_flushing: bool,
}

struct Waiting {
    due_ms: i64,
    log: Arc<Log>,
}

impl FlushSchedule {
    pub(crate) fn new(clock: Clock) -> FlushSchedule {
        FlushSchedule { clock, state: Mutex::default(), sooner: Notify::new(), settled: Notify::new() }
    }

    /// Has the log flushed in `ms`, unless it waits for an earlier flush already.
    pub(crate) fn flush_within(&self, log: &Arc<Log>, ms: i64) {
        let due_ms = self.clock.monotonic_ms().saturating_add(ms);
        let mut state = self.state.lock();
        let is_earlier = |waiting: &Waiting| Arc::ptr_eq(&waiting.log, log) && waiting.due_ms <= due_ms;
        if state.waiting.get(log.topic_partition()).is_some_and(is_earlier) {
            return;
        }
        state.waiting.insert(log.topic_partition().clone(), Waiting { due_ms, log: Arc::clone(log) });
        self.sooner.notify_one();
    }

    /// Flushes what is due, for as long as the broker runs.
    pub(crate) async fn run(self: Arc<FlushSchedule>) {
        loop {
            let next_ms = self.state.lock().waiting.values().map(|waiting| waiting.due_ms).min();
            let Some(next_ms) = next_ms else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = self.clock.sleep_until(next_ms) => {}
                () = self.sooner.notified() => continue,
            }
            let due = self.take_due();
            // A flush waits for the disk, which would hold up the connections of this thread.
            if let Err(error) = tokio::task::spawn_blocking(move || due.iter().for_each(sync)).await {
                tracing::error!("a flush failed: {error}");
            }
            self.state.lock().is_flushing = false;
            self.settled.notify_waiters();
        }
    }

    /// Returns once nothing is due that was not flushed.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.is_behind() {
                return;
            }
            settled.await;
        }
    }

    fn is_behind(&self) -> bool {
        let now_ms = self.clock.monotonic_ms();
        let state = self.state.lock();
        state.is_flushing || state.waiting.values().any(|waiting| waiting.due_ms <= now_ms)
    }

    fn take_due(&self) -> Vec<Arc<Log>> {
        let now_ms = self.clock.monotonic_ms();
        let mut state = self.state.lock();
        state.is_flushing = true;
        let due = state.waiting.extract_if(.., |_, waiting| waiting.due_ms <= now_ms);
        due.map(|(_, waiting)| waiting.log).collect()
    }
}

fn sync(log: &Arc<Log>) {
    if let Err(error) = log.sync() {
        tracing::error!("{error}");
    }
}
