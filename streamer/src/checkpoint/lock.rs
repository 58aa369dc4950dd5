//! Keeps a second run out of a checkpoint that is in use.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::CheckpointError;
use super::log_file::LogFileError;

/// Hidden, so that Spark passes over it.
const FILE_NAME: &str = ".ottla.lock";

const LOCK_VIOLATION: i32 = 33;

/// The operating system lets go of the lock when the process ends, however it ends; the file stays.
#[derive(Debug)]
pub(super) struct CheckpointLock {
    file: File,
}

impl Drop for CheckpointLock {
    /// Closing the file is not enough: a child process that is just being made has it open as well.
    fn drop(&mut self) {
        match self.file.unlock() {
            // On Windows the standard library unlocks twice, and Wine calls what is not locked any more a violation.
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(LOCK_VIOLATION) => {}
            Err(error) => tracing::warn!("cannot unlock the checkpoint: {error}"),
            Ok(()) => {}
        }
    }
}

impl CheckpointLock {
    pub(super) fn acquire(folder: &Path) -> Result<CheckpointLock, CheckpointError> {
        let path = folder.join(FILE_NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| LogFileError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(CheckpointLock { file }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(LogFileError::io("lock", &path, error).into()),
        }
    }
}
