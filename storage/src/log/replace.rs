//! Putting one segment in the place of several, as compaction does. [`crate::partition_files`] says what becomes of
//! the files.

use std::{io, ops::RangeInclusive, path::PathBuf, sync::Arc};

use thiserror::Error;

use super::{Log, LogStopped, LogWriter, WakeError};
use crate::{
    partition_files::{CleanedFiles, FileKind, Retirement},
    publish::SegmentEnd,
    segment::Segment,
    transaction_index::TransactionIndex,
};

/// Why segments stay as they are.
#[derive(Debug, Error)]
pub enum ReplaceError {
    #[error(
        "the log in {} cannot be compacted now: segments that the last compaction replaced are still read; the next \
         round tries again",
        dir.display()
    )]
    Pending { dir: PathBuf },
    #[error(
        "the log in {} has dropped segments while they were compacted; the next round begins with what is left",
        dir.display()
    )]
    Changed { dir: PathBuf },
    #[error("cannot replace segments in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Stopped(LogStopped),
}

impl Log {
    /// The `.cleaned` files of a segment that begins at `base_offset`, to be written by the caller. A log has one such
    /// segment at a time.
    pub fn begin_cleaning(&self, base_offset: i64) -> Result<CleanedFiles, ReplaceError> {
        // What an earlier broker was cleaning goes first, and has the same name.
        self.wake()?;
        self.files.settle();
        let cleaned = self.files.begin_cleaning(base_offset);
        cleaned.ok_or_else(|| ReplaceError::Pending { dir: self.dir().to_owned() })
    }

    /// Puts a cleaned segment in the place of those whose base offsets are in `replaced`, of which none is the one that
    /// is appended to. Its base offset is the first of them; its files are closed and complete, and on the disk if it
    /// shall survive a power cut.
    ///
    /// Readers get the new segment when this returns, and so does the next start, whatever happens to the process.
    /// The old files go when nobody reads them.
    pub fn replace_segments(
        &self,
        cleaned: CleanedFiles,
        replaced: RangeInclusive<i64>,
    ) -> Result<(), ReplaceError> {
        let outcome = self.with_writer(|writer| self.swap_segments(writer, cleaned, &replaced))?;
        // Not under the append lock: to remove a large file takes a while.
        self.files.settle();
        outcome
    }

    fn swap_segments(
        &self,
        writer: &mut LogWriter,
        cleaned: CleanedFiles,
        replaced: &RangeInclusive<i64>,
    ) -> Result<(), ReplaceError> {
        let failed = |source| ReplaceError::Io { dir: self.dir().to_owned(), source };
        // Whoever changes the list holds the append lock, so that it stays as it is here.
        let segments = self.segments.read().list.clone();
        let at = segments.partition_point(|segment| segment.base_offset() < *replaced.start());
        let behind = segments.partition_point(|segment| segment.base_offset() <= *replaced.end());
        let old = &segments[at..behind];
        let bounds =
            old.first().map(|first| first.base_offset()).zip(old.last().map(|last| last.base_offset()));
        let Some(next) =
            segments.get(behind).filter(|_| bounds == Some((*replaced.start(), *replaced.end())))
        else {
            return Err(ReplaceError::Changed { dir: self.dir().to_owned() });
        };
        let base_offset = cleaned.base_offset();
        let size_bytes = std::fs::metadata(cleaned.path(FileKind::Log)).map_err(failed)?.len();
        let end = SegmentEnd {
            position: u32::try_from(size_bytes).map_err(|error| failed(io::Error::other(error)))?,
            relative_offset: u32::try_from(next.base_offset() - base_offset).unwrap_or(u32::MAX),
        };
        let aborted = TransactionIndex::sealed(&cleaned.path(FileKind::TransactionIndex)).map_err(failed)?;
        let new = Segment::sealed(cleaned.swap_in().map_err(failed)?, end, aborted);
        self.segments.write().list.splice(at..behind, [Arc::new(new)]);
        writer.forget(old);
        for segment in old {
            segment.retire(Retirement::Replaced { same_base: segment.base_offset() == base_offset });
        }
        Ok(())
    }
}

impl From<WakeError> for ReplaceError {
    fn from(error: WakeError) -> ReplaceError {
        match error {
            WakeError::Stopped(stopped) => ReplaceError::Stopped(stopped),
            WakeError::Io { dir, source } => ReplaceError::Io { dir, source },
        }
    }
}
