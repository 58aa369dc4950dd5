//! `cleanSource`: what becomes of the files whose batch is done. Spark's `FileStreamSourceCleaner`.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::options::CleanSource;

impl CleanSource {
    /// A file that cannot be cleaned stays, with a warning; one that is gone is none of ours.
    pub(super) fn clean(&self, file: &Path) {
        let cleaned = match self {
            CleanSource::Off => Ok(()),
            CleanSource::Delete => fs::remove_file(file),
            CleanSource::Archive(archive) => move_to(file, &archived(archive, file)),
        };
        match cleaned {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{} cannot be cleaned up and stays: {error}", file.display());
            }
            _ => {}
        }
    }
}

/// The file's whole path, below the archive.
fn archived(archive: &Path, file: &Path) -> PathBuf {
    let folders = file.components().filter(|component| matches!(component, Component::Normal(_)));
    archive.join(folders.collect::<PathBuf>())
}

fn move_to(file: &Path, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::rename(file, target)
}
