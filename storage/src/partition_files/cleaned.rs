//! Files that compaction writes before they take the place of others.

use std::{io, path::PathBuf, sync::Arc};

use tracing::warn;

use super::{FileKind, FileName, PartitionFiles, SegmentFiles, Suffix};
use crate::disk;

/// The `.cleaned` files of one segment. Dropped before they are swapped in, they are removed.
pub struct CleanedFiles {
    files: Arc<PartitionFiles>,
    base_offset: i64,
    is_over: bool,
}

impl PartitionFiles {
    /// Files to write what replaces the segments from `base_offset` on. `None` while others are being written, or
    /// have not taken their names yet.
    pub(crate) fn begin_cleaning(self: &Arc<PartitionFiles>, base_offset: i64) -> Option<CleanedFiles> {
        let may_begin = self.uses.lock().begin_cleaning();
        may_begin.then(|| CleanedFiles { files: Arc::clone(self), base_offset, is_over: false })
    }
}

impl CleanedFiles {
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub fn path(&self, kind: FileKind) -> PathBuf {
        self.name(kind, Suffix::Cleaned).path(&self.files.dir)
    }

    /// The decision: when this returns, the next start takes the new segment, whatever happens. The files must be
    /// closed, and on the disk if they shall survive a power cut.
    pub(crate) fn swap_in(mut self) -> io::Result<SegmentFiles> {
        self.is_over = true;
        let mut uses = self.files.uses.lock();
        let renamed = self.rename();
        uses.end_cleaning(renamed.is_err());
        renamed?;
        let id = uses.swap_in(self.base_offset);
        drop(uses);
        Ok(SegmentFiles::with_id(Arc::clone(&self.files), id))
    }

    /// The log is the last, for as long as a `.cleaned` is there, a start takes the old segments. The names are on
    /// the disk before the first of those goes.
    fn rename(&self) -> io::Result<()> {
        for kind in FileKind::OF_SEGMENT.into_iter().rev() {
            let cleaned = self.path(kind);
            if cleaned.exists() {
                disk::rename(&cleaned, &self.name(kind, Suffix::Swap).path(&self.files.dir))?;
            }
        }
        disk::sync_dir(&self.files.dir)
    }

    fn remove(&self) -> io::Result<()> {
        FileKind::OF_SEGMENT
            .into_iter()
            .try_for_each(|kind| disk::remove_file_if_present(&self.path(kind)).map(drop))
    }

    fn name(&self, kind: FileKind, suffix: Suffix) -> FileName {
        FileName { offset: self.base_offset, kind, suffix }
    }
}

impl Drop for CleanedFiles {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let removed = self.remove();
        if let Err(error) = &removed {
            warn!(dir = %self.files.dir.display(), %error, "the log is not compacted again before the next start");
        }
        self.files.uses.lock().end_cleaning(removed.is_err());
    }
}
