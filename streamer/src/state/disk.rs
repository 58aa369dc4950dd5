//! All changes of files in a state folder, so that tests can end the process between any two of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::checkpoint::log_file::LogFileError;
use crate::crash_point;

/// Makes a file that is not there yet, and its folder if need be, to be written and read.
pub(super) fn create(path: &Path) -> Result<File, LogFileError> {
    let create = || File::options().read(true).write(true).create_new(true).open(path);
    let file = kill::point().and_then(|()| create()).or_else(|error| match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(folder)) => fs::create_dir_all(folder).and_then(|()| create()),
        _ => Err(error),
    });
    file.map_err(|error| LogFileError::io("create", path, error))
}

/// Writes at the end of what has been written so far.
pub(super) fn append(mut file: &File, path: &Path, content: &[u8]) -> Result<(), LogFileError> {
    let whole = kill::point().or_else(|error| {
        // Of what a process writes as it is killed, a part may have arrived.
        file.write_all(content.get(..content.len() / 2).unwrap_or_default())?;
        Err(error)
    });
    let written = whole.and_then(|()| crash_point::space()).and_then(|()| file.write_all(content));
    written.map_err(|error| LogFileError::io("write", path, error))
}

/// Writes a file whole or not at all, in place of one that may be there. The folder has one writer.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), LogFileError> {
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LogFileError::io("delete", &temporary, error));
        }
        _ => {}
    }
    append(&create(&temporary)?, &temporary, content)?;
    let renamed = kill::point().and_then(|()| fs::rename(&temporary, path));
    renamed.map_err(|error| LogFileError::io("create", path, error))
}

/// Deletes a file, unless it is gone already.
pub(super) fn remove(path: &Path) -> Result<(), LogFileError> {
    match kill::point().and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogFileError::io("delete", path, error)),
        _ => Ok(()),
    }
}

/// Fills the buffer from a place in the file, whose own position does not count.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = buffer.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(not(test))]
mod kill {
    pub(super) fn point() -> std::io::Result<()> {
        crate::crash_point::pass();
        Ok(())
    }
}

/// A process that is killed does nothing more to its files.
#[cfg(test)]
pub(super) mod kill {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on this thread's changes of files fail after `operations` of them; `None` lets it live.
    pub(in crate::state) fn after(operations: Option<u64>) {
        LEFT.set(operations);
    }

    pub(in crate::state) fn happened() -> bool {
        LEFT.get() == Some(0)
    }

    pub(super) fn point() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
