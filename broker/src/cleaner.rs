//! The log cleaner: compacts the topics whose `cleanup.policy` says so, the dirtiest log first, one at a time.
//!
//! It looks when a segment of such a topic was ended or the topic's settings changed, but not more often than every
//! `log.cleaner.backoff.ms`. In between nothing wakes, unless there is something that only time makes ready. How far a
//! log was compacted stands in `cleaner-offset-checkpoint`.

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ottla_storage::{CompactionError, CompactionOutcome, CompactionRequest, Log};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{BrokerSettings, TopicSettings};
use crate::partition::Partition;
use crate::topics::Topics;

pub(crate) struct Cleaner {
    clock: Clock,
    something_changed: Notify,
    stopped: Mutex<bool>,
    stops: Condvar,
    /// Held while logs are looked at and compacted.
    working: Mutex<Uncleanable>,
}

/// Logs with damage that a compaction has found. They stay as they are, for as long as the broker runs.
#[derive(Default)]
struct Uncleanable(Vec<Weak<Log>>);

/// What a look at all logs came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Settled,
    /// Something may become ready although nobody writes.
    Again,
}

/// A log that is worth a compaction.
struct Dirty {
    partition: Arc<Partition>,
    settings: TopicSettings,
    ratio: f64,
}

impl Cleaner {
    pub(crate) fn new(clock: Clock) -> Cleaner {
        Cleaner {
            clock,
            something_changed: Notify::new(),
            stopped: Mutex::default(),
            stops: Condvar::new(),
            working: Mutex::default(),
        }
    }

    /// A compacted log has another segment that is not appended to any more, or its topic other settings.
    pub(crate) fn wake(&self) {
        self.something_changed.notify_one();
    }

    /// Ends what is going on, and returns when it has ended.
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.stops.notify_all();
        drop(self.working.lock());
    }

    /// For as long as the broker runs.
    pub(crate) async fn run(self: Arc<Cleaner>, topics: Arc<Topics>, settings: BrokerSettings) {
        if !settings.log_cleaner_enable {
            return;
        }
        let rested_ms = || self.clock.monotonic_ms().saturating_add(settings.log_cleaner_backoff_ms);
        let mut next_look_ms = rested_ms();
        loop {
            self.clock.sleep_until(next_look_ms).await;
            let (cleaner, topics, settings) = (Arc::clone(&self), Arc::clone(&topics), settings.clone());
            let looked = tokio::task::spawn_blocking(move || cleaner.clean_all(&topics, &settings)).await;
            next_look_ms = rested_ms();
            match looked {
                Ok(Look::Again) => {}
                Ok(Look::Settled) => self.something_changed.notified().await,
                Err(error) => {
                    tracing::error!("the log cleaner has failed: {error}; it tries again");
                }
            }
        }
    }

    pub(crate) fn clean_all(&self, topics: &Topics, settings: &BrokerSettings) -> Look {
        let mut uncleanable = self.working.lock();
        let mut passed_over: Vec<Arc<Log>> = Vec::new();
        loop {
            if *self.stopped.lock() {
                return Look::Settled;
            }
            let is_left = |log: &Arc<Log>| {
                !uncleanable.contains(log) && !passed_over.iter().any(|passed| Arc::ptr_eq(passed, log))
            };
            let (dirtiest, look) = self.dirtiest(topics, is_left);
            let Some(Dirty { partition, settings: topic, .. }) = dirtiest else {
                return if passed_over.is_empty() { look } else { Look::Again };
            };
            let log = &partition.log;
            let before = log.cleaned_to();
            match self.compact(log, &topic, settings) {
                Ok(outcome) if Some(outcome.cleaned_to) == before => passed_over.push(Arc::clone(log)),
                Ok(_) => topics.write_cleaner_checkpoint(),
                Err(error @ (CompactionError::Damaged { .. } | CompactionError::TooLarge { .. })) => {
                    let name = log.topic_partition();
                    tracing::error!("{name} is not compacted until the broker starts again: {error}");
                    uncleanable.0.push(Arc::downgrade(log));
                }
                Err(CompactionError::Interrupted | CompactionError::Stopped(_)) => {
                    passed_over.push(Arc::clone(log));
                }
                Err(error) => {
                    tracing::warn!("{} is not compacted now: {error}", log.topic_partition());
                    passed_over.push(Arc::clone(log));
                }
            }
        }
    }

    /// The log with the largest dirty part for its size, of those that are worth it.
    fn dirtiest(&self, topics: &Topics, is_left: impl Fn(&Arc<Log>) -> bool) -> (Option<Dirty>, Look) {
        let mut dirtiest: Option<Dirty> = None;
        let mut look = Look::Settled;
        for topic in topics.all().iter().filter(|topic| topic.settings.cleanup_policy.compact) {
            let policy = topic.settings.compaction_policy();
            for partition in topic.partitions.iter().filter(|partition| is_left(&partition.log)) {
                let Ok(found) = partition.log.dirtiness(&policy, self.clock.now_ms()) else { continue };
                if found.must_wait {
                    look = Look::Again;
                }
                if found.is_worth_it && dirtiest.as_ref().is_none_or(|so_far| so_far.ratio < found.ratio) {
                    let (partition, settings) = (Arc::clone(partition), topic.settings.clone());
                    dirtiest = Some(Dirty { partition, settings, ratio: found.ratio });
                }
            }
        }
        (dirtiest, look)
    }

    fn compact(
        &self,
        log: &Log,
        topic: &TopicSettings,
        settings: &BrokerSettings,
    ) -> Result<CompactionOutcome, CompactionError> {
        let throttle = Throttle { started: Instant::now(), bytes: Mutex::default() };
        let request = CompactionRequest {
            policy: topic.compaction_policy(),
            now_ms: self.clock.now_ms(),
            max_map_bytes: usize::try_from(settings.log_cleaner_dedupe_buffer_size).unwrap_or(usize::MAX),
            pace: &|bytes| self.pace(&throttle, bytes, settings.log_cleaner_io_max_bytes_per_second),
        };
        let outcome = log.compact(&request)?;
        let CompactionOutcome { cleaned_to, read_bytes, written_bytes, records_read, records_kept, .. } =
            outcome;
        tracing::info!(
            log = %log.topic_partition(), cleaned_to, read_bytes, written_bytes, records_read, records_kept,
            seconds = throttle.started.elapsed().as_secs_f64(), "compacted"
        );
        if outcome.records_without_key > 0 {
            let count = outcome.records_without_key;
            tracing::warn!("{count} records without a key are gone from {}", log.topic_partition());
        }
        Ok(outcome)
    }

    /// Waits until so many bytes may have been read and written; `Break` when the broker stops.
    fn pace(&self, throttle: &Throttle, bytes: usize, max_bytes_per_second: f64) -> ControlFlow<()> {
        let due = throttle.due(bytes, max_bytes_per_second);
        let mut stopped = self.stopped.lock();
        while !*stopped && due.is_some_and(|due| Instant::now() < due) {
            let Some(due) = due else { break };
            self.stops.wait_until(&mut stopped, due);
        }
        if *stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// `log.cleaner.io.max.bytes.per.second`
struct Throttle {
    started: Instant,
    bytes: Mutex<u64>,
}

impl Throttle {
    /// When the average is not too high any more; `None` for now.
    fn due(&self, bytes: usize, max_bytes_per_second: f64) -> Option<Instant> {
        let mut total = self.bytes.lock();
        *total += bytes as u64;
        let seconds = *total as f64 / max_bytes_per_second;
        // A rate so low that it takes centuries is no time at all.
        let since_start = Duration::try_from_secs_f64(seconds).ok().filter(|since| !since.is_zero())?;
        self.started.checked_add(since_start)
    }
}

impl Uncleanable {
    fn contains(&self, log: &Arc<Log>) -> bool {
        self.0.iter().any(|uncleanable| std::ptr::eq(uncleanable.as_ptr(), Arc::as_ptr(log)))
    }
}
