//! Compaction of what lies before the active segment. Appends and reads go on meanwhile.

mod passes;

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use ottla_protocol::batch::BatchError;
use passes::Passes;
use thiserror::Error;

use super::{FlushError, Log, LogStopped, ReplaceError, State, WakeError};
use crate::{
    compaction::{BatchCleaner, CompactionPolicy, LogFacts, Plan, Rules, SegmentFacts, groups},
    segment::{Segment, SegmentError},
};

/// What decides about a compaction.
#[derive(Clone, Copy)]
pub struct CompactionRequest<'a> {
    pub policy: CompactionPolicy,
    pub now_ms: i64,
    /// What the offsets of the keys may take. With less than all of them need, a part of the log is compacted.
    pub max_map_bytes: usize,
    /// Is told how many bytes were read and written since the last call, every now and then; it may wait before it
    /// returns, or end the compaction.
    pub pace: &'a dyn Fn(usize) -> ControlFlow<()>,
}

/// How much of a log there is to compact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dirtiness {
    /// The share of what could be compacted that was not yet.
    pub ratio: f64,
    /// By the topic's policy.
    pub is_worth_it: bool,
    /// Time, or the end of a transaction, may change the answer without an append.
    pub must_wait: bool,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionOutcome {
    /// Below it each key is there once at most.
    pub cleaned_to: i64,
    pub read_bytes: u64,
    /// In segments that replace others.
    pub written_bytes: u64,
    pub records_read: u64,
    pub records_kept: u64,
    /// Removed because they have no key: they came before the topic was compacted.
    pub records_without_key: u64,
}

/// Why a log was not compacted to the end. Segments that were replaced before stay so.
#[derive(Debug, Error)]
pub enum CompactionError {
    #[error("{} is damaged at position {position}: {cause}", path.display())]
    Damaged { path: PathBuf, position: usize, cause: BatchError },
    #[error("what is left of {} does not fit in a segment", path.display())]
    TooLarge { path: PathBuf },
    #[error("cannot read or write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the compaction was told to end")]
    Interrupted,
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    #[error(transparent)]
    Stopped(LogStopped),
}

/// What is to be done.
struct Work {
    /// The last one is appended to.
    segments: Vec<Arc<Segment>>,
    facts: Vec<SegmentFacts>,
    plan: Plan,
}

impl Log {
    /// Whether a compaction would be worth it. Does not wake a log that was not used yet.
    pub fn dirtiness(&self, policy: &CompactionPolicy, now_ms: i64) -> Result<Dirtiness, CompactionError> {
        let Work { plan, .. } = self.work(policy, now_ms)?;
        Ok(Dirtiness {
            ratio: plan.dirty_ratio(),
            is_worth_it: plan.is_worth_it(policy),
            must_wait: plan.must_wait,
        })
    }

    /// Compacts the sealed segments, whether it is worth it or not. One at a time.
    pub fn compact(&self, request: &CompactionRequest<'_>) -> Result<CompactionOutcome, CompactionError> {
        // The power must not take a record for whose sake an older one is gone.
        self.flush()?;
        let last_traces = self.with_writer(|writer| writer.producers.last_traces())?;
        let Work { segments, facts, plan } = self.work(&request.policy, request.now_ms)?;
        let mut passes = Passes::new(self, &segments, request);
        let keys = passes.key_offsets(&plan)?;
        let end_offset = keys.latest_offset + 1;
        let mut cleaner = BatchCleaner::new(Rules {
            keys: &keys,
            last_traces: &last_traces,
            now_ms: request.now_ms,
            delete_retention_ms: request.policy.delete_retention_ms,
            upper_bound_offset: plan.first_uncleanable_offset,
        });
        let count = facts.partition_point(|segment| segment.base_offset < end_offset);
        let next_offset = segments[..count].last().map_or(0, |segment| segment.next_offset());
        let max_bytes = self.config().max_segment_bytes() as u64;
        for group in groups(&facts[..count], next_offset, max_bytes) {
            passes.clean_group(group, &mut cleaner)?;
        }
        let cleaned_to = end_offset.max(plan.first_dirty_offset);
        *self.cleaned_to.lock() = Some(cleaned_to);
        Ok(passes.outcome(cleaned_to, cleaner.counts))
    }

    /// Where the last compaction ended; `None` when nobody knows.
    pub fn cleaned_to(&self) -> Option<i64> {
        *self.cleaned_to.lock()
    }

    /// What a checkpoint says. It may know of records that are lost, which an unopened log finds out later.
    pub(crate) fn believe_cleaned_to(&self, offset: Option<i64>) {
        *self.cleaned_to.lock() = offset;
        let segments = self.segments.read();
        if segments.state != State::Unopened {
            self.cleaned_no_further_than(segments.end_offset());
        }
    }

    pub(super) fn cleaned_no_further_than(&self, end_offset: i64) {
        let mut cleaned_to = self.cleaned_to.lock();
        *cleaned_to = cleaned_to.filter(|&offset| offset <= end_offset);
    }

    fn work(&self, policy: &CompactionPolicy, now_ms: i64) -> Result<Work, CompactionError> {
        let (segments, start_offset, end_offset, last_stable_offset) = {
            let segments = self.opened_segments();
            if let State::Stopped(stopped) = segments.state {
                return Err(CompactionError::Stopped(stopped));
            }
            // A dormant log does not know its transactions; a compaction wakes it first.
            (
                segments.list.clone(),
                segments.log_start_offset,
                segments.end_offset(),
                self.stable_end(&segments),
            )
        };
        let Some((active, sealed)) = segments.split_last() else {
            return Err(CompactionError::Interrupted);
        };
        let facts = sealed.iter().map(|segment| facts(segment, policy)).collect::<Result<Vec<_>, _>>()?;
        let log = LogFacts {
            sealed: &facts,
            active_base_offset: active.base_offset(),
            start_offset,
            end_offset,
            last_stable_offset,
            cleaned_to: self.cleaned_to(),
        };
        let plan = Plan::of(&log, policy, now_ms);
        Ok(Work { segments, facts, plan })
    }
}

fn facts(segment: &Segment, policy: &CompactionPolicy) -> Result<SegmentFacts, SegmentError> {
    let largest_timestamp = match policy.min_compaction_lag_ms {
        ..1 => None,
        _ => segment.largest_timestamp()?.map(|largest| largest.timestamp),
    };
    let first_timestamp = match policy.max_compaction_lag_ms {
        i64::MAX => None,
        _ => segment.first_timestamp()?,
    };
    Ok(SegmentFacts {
        base_offset: segment.base_offset(),
        size_bytes: u64::from(segment.end().position),
        largest_timestamp,
        first_timestamp,
    })
}

impl From<SegmentError> for CompactionError {
    fn from(error: SegmentError) -> CompactionError {
        match error {
            SegmentError::Retired { path } => {
                let dir = path.parent().map(Path::to_owned).unwrap_or_default();
                ReplaceError::Changed { dir }.into()
            }
            SegmentError::Io { path, source } => CompactionError::Io { path, source },
            SegmentError::Damaged { path, position, cause } => {
                CompactionError::Damaged { path, position, cause }
            }
        }
    }
}

impl From<FlushError> for CompactionError {
    fn from(FlushError { dir: path, source }: FlushError) -> CompactionError {
        CompactionError::Io { path, source }
    }
}

impl From<WakeError> for CompactionError {
    fn from(error: WakeError) -> CompactionError {
        match error {
            WakeError::Stopped(stopped) => CompactionError::Stopped(stopped),
            WakeError::Io { dir: path, source } => CompactionError::Io { path, source },
        }
    }
}
