//! Reading takes the append lock only to wake a log that was never used.

use bytes::Bytes;
use thiserror::Error;

use super::{Log, LogStopped, Segments, State, WakeError};
use crate::segment::SegmentError;

/// Batches, and the log around them.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    /// Whole batches that borrow the mapped file. The first one may begin before the offset that was asked for.
    pub records: Bytes,
    pub log_start_offset: i64,
    /// Not below the end of `records`.
    pub log_end_offset: i64,
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
    /// At most `max_bytes` of whole batches from the one that holds `offset` on; nothing at the log end. The first
    /// batch comes in any case if `at_least_one_batch`, so that a reader with a small limit gets on.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one_batch: bool,
    ) -> Result<ReadOutcome, ReadError> {
        let (segments, log_start_offset) = self.with_segments(|segments| {
            let (start, end) = (segments.log_start_offset, segments.end_offset());
            if offset < start || offset > end {
                return Err(ReadError::OffsetOutOfRange { offset, start, end });
            }
            let from = if offset == end { &[] } else { segments.from(offset) };
            // Compaction may have taken everything behind `offset` from its segment.
            Ok((from.iter().take(2).cloned().collect::<Vec<_>>(), start))
        })??;
        let mut records = Bytes::new();
        for segment in segments {
            if let Some(found) = segment.read(offset, max_bytes, at_least_one_batch)? {
                records = found;
                break;
            }
        }
        Ok(ReadOutcome { records, log_start_offset, log_end_offset: self.end_offset() })
    }

    /// Runs `look` on the segments of a log that is awake.
    pub(super) fn with_segments<R>(&self, look: impl FnOnce(&Segments) -> R) -> Result<R, ReadError> {
        if self.segments.read().state == State::Dormant {
            self.wake()?;
        }
        let segments = self.segments.read();
        match segments.state {
            State::Stopped(stopped) => Err(ReadError::Stopped(stopped)),
            State::Ready | State::Dormant => Ok(look(&segments)),
        }
    }
}

impl From<WakeError> for ReadError {
    fn from(error: WakeError) -> ReadError {
        match error {
            WakeError::Stopped(stopped) => ReadError::Stopped(stopped),
            WakeError::Io { dir: path, source } => ReadError::Segment(SegmentError::Io { path, source }),
        }
    }
}
