//! Reading takes the append lock only to wake a log that was never used.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::{Log, LogStopped, Segments, State, WakeError};
use crate::{
    segment::{Segment, SegmentError},
    transaction_index::{AbortedEntry, AbortedTransaction, Search},
};

/// What a reader wants to see of transactions (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything up to the high watermark.
    ReadUncommitted,
    /// Nothing from the last stable offset on; below it, what was aborted is named.
    ReadCommitted,
}

/// Batches, and the log around them.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    /// Whole batches that borrow the mapped file. The first one may begin before the offset that was asked for.
    pub records: Bytes,
    pub log_start_offset: i64,
    /// Not below the end of `records`.
    pub high_watermark: i64,
    /// Below it every transaction is decided.
    pub last_stable_offset: i64,
    /// Of [`Isolation::ReadCommitted`]: whose records in `records` the reader has to skip, in the order in which they
    /// were aborted.
    pub aborted: Vec<AbortedTransaction>,
}

/// What a read starts from.
struct ReadStart {
    segments: Vec<Arc<Segment>>,
    /// From the one of the first record on.
    with_aborted: Vec<Arc<Segment>>,
    below_offset: i64,
    log_start_offset: i64,
    last_stable_offset: i64,
}

/// Why nothing can be read.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("offset {offset} is not between the log's start {start} and its end {end}")]
    OffsetOutOfRange { offset: i64, start: i64, end: i64 },
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Stopped(LogStopped),
}

impl Log {
    /// At most `max_bytes` of whole batches from the one that holds `offset` on; nothing at the end of what `isolation`
    /// lets see. The first batch comes in any case if `at_least_one_batch`, so that a reader with a small limit gets on.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one_batch: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        self.steadily(|| self.read_once(offset, max_bytes, at_least_one_batch, isolation))
    }

    fn read_once(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one_batch: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        let start = self.with_segments(|segments| self.start_read(segments, offset, isolation))??;
        let (mut records, mut aborted) = (Bytes::new(), Vec::new());
        for segment in &start.segments {
            let found = segment.read(offset, start.below_offset, max_bytes, at_least_one_batch)?;
            if let Some(found) = found {
                if !found.records.is_empty() {
                    aborted = aborted_in(&start.with_aborted, offset, found.next_offset)?;
                }
                records = found.records;
                break;
            }
        }
        let ReadStart { log_start_offset, last_stable_offset, .. } = start;
        let high_watermark = self.high_watermark();
        Ok(ReadOutcome { records, log_start_offset, high_watermark, last_stable_offset, aborted })
    }

    /// The end of what may be read. The log end, for there is one replica; but with `flush.messages=1` only what a power
    /// cut leaves, so that nobody sees a record which is then gone.
    pub fn high_watermark(&self) -> i64 {
        self.readable_end(&self.opened_segments())
    }

    fn readable_end(&self, segments: &Segments) -> i64 {
        let end = segments.end_offset();
        if self.is_read_when_synced() { end.min(self.synced_offset()) } else { end }
    }

    fn is_read_when_synced(&self) -> bool {
        self.config.read().flush_messages == 1
    }

    /// The end of what [`Isolation::ReadCommitted`] lets see: where the oldest open transaction begins, or the high
    /// watermark.
    pub fn last_stable_offset(&self) -> Result<i64, ReadError> {
        self.with_segments(|segments| self.stable_end(segments))
    }

    /// The end of what `isolation` lets see.
    pub fn end_offset_for(&self, isolation: Isolation) -> Result<i64, ReadError> {
        match isolation {
            Isolation::ReadUncommitted => Ok(self.high_watermark()),
            Isolation::ReadCommitted => self.last_stable_offset(),
        }
    }

    fn start_read(
        &self,
        segments: &Segments,
        offset: i64,
        isolation: Isolation,
    ) -> Result<ReadStart, ReadError> {
        let (start, end) = (segments.log_start_offset, segments.end_offset());
        if offset < start || offset > end {
            return Err(ReadError::OffsetOutOfRange { offset, start, end });
        }
        // Together with the list: a marker that moves it later may be in a segment that is not in the list.
        let last_stable_offset = self.stable_end(segments);
        let committed = isolation == Isolation::ReadCommitted;
        let readable_end = if committed { last_stable_offset } else { self.readable_end(segments) };
        // What is appended meanwhile may be read at once, unless somebody has to decide on it first.
        let is_bounded = committed || self.is_read_when_synced();
        let from = if offset >= readable_end { &[] } else { segments.from(offset) };
        let with_aborted = from.iter().filter(|segment| committed && segment.has_aborted_transactions());
        // Compaction may have taken everything behind `offset` from its segment, and everything from the next ones.
        let behind = from.iter().skip(1).find(|segment| segment.end().position > 0);
        Ok(ReadStart {
            below_offset: if is_bounded { readable_end } else { i64::MAX },
            with_aborted: with_aborted.cloned().collect(),
            segments: from.first().into_iter().chain(behind).cloned().collect(),
            log_start_offset: start,
            last_stable_offset,
        })
    }

    pub(super) fn stable_end(&self, segments: &Segments) -> i64 {
        let end = self.readable_end(segments);
        let undecided = self.first_undecided.load();
        // A log start that was moved into an open transaction is as far as anybody has to wait.
        undecided.map_or(end, |first_offset| first_offset.max(segments.log_start_offset).min(end))
    }

    /// Looks again when a segment went while it was looked at: the log does not list it any more.
    pub(super) fn steadily<R>(&self, look: impl Fn() -> Result<R, ReadError>) -> Result<R, ReadError> {
        loop {
            match look() {
                Err(ReadError::Segment(SegmentError::Retired { .. })) => {}
                looked => return looked,
            }
        }
    }

    /// Runs `look` on the segments of a log that is awake.
    pub(super) fn with_segments<R>(&self, look: impl FnOnce(&Segments) -> R) -> Result<R, ReadError> {
        if matches!(self.segments.read().state, State::Unopened | State::Dormant) {
            self.wake()?;
        }
        let segments = self.segments.read();
        match segments.state {
            State::Stopped(stopped) => Err(ReadError::Stopped(stopped)),
            State::Ready | State::Dormant | State::Unopened => Ok(look(&segments)),
        }
    }
}

/// What of `[from_offset, upper_bound)` belongs to aborted transactions.
fn aborted_in(
    segments: &[Arc<Segment>],
    from_offset: i64,
    upper_bound: i64,
) -> Result<Vec<AbortedTransaction>, SegmentError> {
    let mut found = Vec::new();
    let mut take = |AbortedEntry { producer_id, first_offset, .. }| {
        found.push(AbortedTransaction { producer_id, first_offset });
    };
    for segment in segments {
        if segment.collect_aborted(from_offset, upper_bound, &mut take)? == Search::Complete {
            break;
        }
    }
    Ok(found)
}

impl From<WakeError> for ReadError {
    fn from(error: WakeError) -> ReadError {
        match error {
            WakeError::Stopped(stopped) => ReadError::Stopped(stopped),
            WakeError::Io { dir: path, source } => ReadError::Segment(SegmentError::Io { path, source }),
        }
    }
}
