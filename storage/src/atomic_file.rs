//! Replacing a small file so that a reader, or a start after a kill, finds the old bytes or the new ones.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{config::Durability, disk};

/// Writes beside `path` and renames over it.
pub(crate) fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    if durability == Durability::Process {
        disk::write(&beside, bytes)?;
        return disk::rename(&beside, path);
    }
    disk::write_synced(&beside, bytes)?;
    disk::rename(&beside, path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

/// The file's text, or `None` when there is no such file.
pub(crate) fn read_if_present(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
