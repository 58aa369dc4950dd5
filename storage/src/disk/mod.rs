//! The file layer: every change to a file or directory of this crate goes through here (`clippy.toml` holds it to that).
//!
//! That gives three things one place each:
//! - [`in_use`]: Windows refuses to rename, cut or delete a file that is open or mapped; Linux and Wine do not. In debug
//!   builds the rule is checked on every system, and breaking it is a panic that names the file.
//! - [`faults`]: tests let the process, the power or the space end at any of these operations.
//! - The order of things that must survive a power cut: a file's content by [`DiskFile::sync_all`], its name by
//!   [`sync_dir`].
#![allow(clippy::disallowed_methods)]

#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
#[path = "no_faults.rs"]
pub(crate) mod faults;
mod file;
mod in_use;

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use faults::before;
pub(crate) use file::{DiskFile, is_disk_full};
pub(crate) use in_use::InUse;

/// What a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Operation {
    Create,
    Write,
    /// Into a map, whose space is allocated.
    Copy,
    Allocate,
    SetLength,
    Sync,
    Rename,
    Remove,
    CreateDir,
    RemoveDir,
    SyncDir,
    /// A step between operations, by its name; nothing of it is on the disk yet that was not before.
    Step(&'static str),
}

/// Creates the file, or replaces what it holds. A kill may leave any part of `bytes`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    in_use::check_free(path, "written over");
    DiskFile::create(path)?.write_at(0, bytes)
}

/// As [`write`], and the content is on the disk; its name may not be.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    in_use::check_free(path, "written over");
    let file = DiskFile::create(path)?;
    file.write_at(0, bytes)?;
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    in_use::check_free(from, "renamed");
    in_use::check_free(to, "replaced");
    in_use::check_dir_free(from, "renamed");
    before(Operation::Rename, from)?;
    fs::rename(from, to)?;
    faults::renamed(from, to);
    Ok(())
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    in_use::check_free(path, "deleted");
    before(Operation::Remove, path)?;
    fs::remove_file(path)
}

/// Whether there was such a file.
pub(crate) fn remove_file_if_present(path: &Path) -> io::Result<bool> {
    match remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    before(Operation::CreateDir, path)?;
    fs::create_dir(path)
}

/// With its parents; one that is there already is no error.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    before(Operation::CreateDir, path)?;
    fs::create_dir_all(path)
}

/// Removes a directory of files, file by file, so that a kill leaves what the next start goes on with.
pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    in_use::check_dir_free(path, "deleted");
    for file in list(path)? {
        if file.is_dir() { remove_dir_all(&file)? } else { remove_file(&file)? }
    }
    before(Operation::RemoveDir, path)?;
    fs::remove_dir(path)
}

/// The paths of what is in a directory, in no order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Waits until the names in `dir` are on the disk. Windows does that by itself, and has no call for it.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    before(Operation::SyncDir, dir)?;
    if !faults::synced_dir(dir) && cfg!(unix) {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// Around what brings a mapped range of a file to the disk.
pub(crate) fn sync_range(
    path: &Path,
    range: &Range<u64>,
    sync: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    before(Operation::Sync, path)?;
    if faults::synced(path, range) { Ok(()) } else { sync() }
}

/// A place between two operations at which tests let a kill happen.
pub(crate) fn step(name: &'static str, path: &Path) {
    // A process that is killed here does not look at the outcome.
    let _ = before(Operation::Step(name), path);
}
