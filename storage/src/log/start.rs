//! Where a log begins: its start moves forwards, and the segments below it go.

use std::{io, path::PathBuf};

use thiserror::Error;
use tracing::warn;

use super::{Log, LogStopped, LogWriter, WakeError};
use crate::{
    disk::{self, DiskFile},
    leader_epochs,
    partition_files::{FileKind, Retirement},
};

/// Why a log begins where it did.
#[derive(Debug, Error)]
pub enum StartOffsetError {
    #[error("the log cannot begin at offset {offset}, behind its end {end}")]
    OffsetOutOfRange { offset: i64, end: i64 },
    #[error("cannot move the start of the log in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Stopped(LogStopped),
}

impl Log {
    /// Records below `offset` cannot be read any more when this returns. Says whether that is new. Whoever promises
    /// that it outlives the process writes the checkpoint of the data directory.
    pub fn advance_start_offset(&self, offset: i64) -> Result<bool, StartOffsetError> {
        self.with_writer(|writer| match writer.end_offset() {
            end if offset > end => Err(StartOffsetError::OffsetOutOfRange { offset, end }),
            _ => Ok(self.begin_at(offset)),
        })?
    }

    /// Drops the segments that lie below the log start. Their files go as soon as nobody reads them. Returns how many
    /// there were.
    pub fn drop_segments_below_start(&self) -> Result<usize, StartOffsetError> {
        let start_offset = self.start_offset();
        let droppable = |next_base: i64| next_base <= start_offset;
        let nothing_to_drop = {
            let segments = self.segments.read();
            segments.list.get(1).is_none_or(|second| !droppable(second.base_offset()))
        };
        if nothing_to_drop {
            return Ok(0);
        }
        let dropped = self.with_writer(|writer| {
            let count = {
                let segments = self.segments.read();
                segments.list.iter().skip(1).take_while(|next| droppable(next.base_offset())).count()
            };
            self.drop_oldest(writer, count);
            count
        })?;
        self.files.settle();
        Ok(dropped)
    }

    /// For whoever holds the append lock: the log begins with the segment behind the `count` oldest ones, of which the
    /// one that is appended to is none. To be followed by a settling of the files, without the lock.
    pub(super) fn drop_oldest(&self, writer: &mut LogWriter, count: usize) {
        let next = self.segments.read().list.get(count).map(|next| next.base_offset());
        let Some(next) = next else { return };
        if let Err(error) = self.secure_producers(next) {
            warn!(log = %self.topic_partition, %error, "old segments stay: what they tell of producers is not safe");
            return;
        }
        self.begin_at(next);
        let dropped: Vec<_> = self.segments.write().list.drain(..count).collect();
        writer.forget(&dropped);
        dropped.iter().for_each(|segment| segment.retire(Retirement::Dropped));
    }

    /// What the segments below `base_offset` tell of producers must be on the disk before they go.
    fn secure_producers(&self, base_offset: i64) -> io::Result<()> {
        let snapshot = self.files.path(base_offset, FileKind::ProducerSnapshot);
        if !self.config().survives_power_cut() {
            return Ok(());
        }
        DiskFile::open_to_write(&snapshot)?.sync_all()?;
        disk::sync_dir(self.dir())
    }

    fn begin_at(&self, offset: i64) -> bool {
        {
            let mut segments = self.segments.write();
            if offset <= segments.log_start_offset {
                return false;
            }
            segments.log_start_offset = offset;
        }
        self.forget_epochs_below(offset);
        true
    }

    fn forget_epochs_below(&self, offset: i64) {
        let mut left = self.leader_epochs.read().clone();
        if left.truncate_from_start(offset) {
            if let Err(error) =
                left.store(&self.dir().join(leader_epochs::FILE_NAME), self.config().durability())
            {
                // The next start does it again.
                warn!(log = %self.topic_partition, %error, "leader-epoch-checkpoint begins below the log start");
            }
            *self.leader_epochs.write() = left;
        }
    }
}

impl From<WakeError> for StartOffsetError {
    fn from(error: WakeError) -> StartOffsetError {
        match error {
            WakeError::Stopped(stopped) => StartOffsetError::Stopped(stopped),
            WakeError::Io { dir, source } => StartOffsetError::Io { dir, source },
        }
    }
}
