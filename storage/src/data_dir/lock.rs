//! `.lock`: one broker at a time, be it Ottla or Kafka.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use super::{DataDirError, io_error};

const FILE_NAME: &str = ".lock";

/// Held until the file is closed.
#[expect(clippy::disallowed_methods, reason = "it stays open, and is never renamed, cut or removed")]
pub(super) fn take(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(FILE_NAME);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| io_error(&path, source))?;
    let locked = file.try_lock().and_then(|()| try_lock_as_java(&file));
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// Linux has two kinds of locks that know nothing of each other: the one before keeps a second broker out of this
/// process, this one keeps a Kafka out of the directory. On macOS and the BSDs the two exclude each other, even within
/// one process, so the one before does both; on Windows there is only one.
#[cfg(target_os = "linux")]
fn try_lock_as_java(file: &File) -> Result<(), TryLockError> {
    use rustix::{
        fs::{FlockOperation, fcntl_lock},
        io::Errno,
    };
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(TryLockError::WouldBlock),
        Err(error) => Err(TryLockError::Error(error.into())),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
fn try_lock_as_java(_: &File) -> Result<(), TryLockError> {
    Ok(())
}
