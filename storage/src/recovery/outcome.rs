use std::{fmt, path::PathBuf};

use ottla_protocol::batch::BatchError;
use thiserror::Error;

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryOutcome {
    pub end_offset: i64,
    /// How much of the log was read.
    pub scanned_bytes: u64,
    /// `None` when every batch was sound. Space that was allocated ahead is given back without a word.
    pub truncation: Option<Truncation>,
}

impl RecoveryOutcome {
    /// Nothing was read, nothing cut.
    pub(crate) fn untouched(end_offset: i64) -> RecoveryOutcome {
        RecoveryOutcome { end_offset, scanned_bytes: 0, truncation: None }
    }
}

/// What was cut off a log because it was not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The first offset that is gone.
    pub offset: i64,
    pub path: PathBuf,
    pub position: u64,
    pub cut_bytes: u64,
    /// Later segments, removed because nothing may follow a gap.
    pub removed_segments: usize,
    pub reason: TailFault,
}

/// Why a log is cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TailFault {
    #[error(transparent)]
    Batch(BatchError),
    #[error("offset {found} stands where {expected} or a later one must follow")]
    OffsetOrder { expected: i64, found: i64 },
    #[error("its batches end at offset {end}, the next segment begins at {next}")]
    Gap { end: i64, next: i64 },
    #[error("everything up to offset {recorded} was recorded as safe, but is not in the file")]
    Lost { recorded: i64 },
}

/// One sentence for the log file.
impl fmt::Display for RecoveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Truncation { offset, path, position, cut_bytes, removed_segments, reason }) =
            &self.truncation
        else {
            return write!(f, "kept everything up to offset {}", self.end_offset);
        };
        write!(f, "kept everything below offset {offset}; cut {cut_bytes} bytes of {}", path.display())?;
        write!(f, " from position {position} on")?;
        if *removed_segments > 0 {
            write!(f, " and {removed_segments} later segments")?;
        }
        write!(f, ", because {reason}")
    }
}
