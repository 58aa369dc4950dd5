//! `offsets/` and `commits/`: a folder with one text file per batch, named by its id.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::log_file::{self, LogFileError};

/// What a log file says after its version line.
pub trait LogEntry: Sized {
    /// The lines after `v1\n`, without a newline at the end.
    fn to_text(&self) -> String;
    /// `Err` says in words what is wrong with the text.
    fn from_text(text: &str) -> Result<Self, String>;
}

#[derive(Debug)]
pub struct BatchLog<E> {
    folder: PathBuf,
    entry: PhantomData<E>,
}

impl<E: LogEntry> BatchLog<E> {
    pub fn new(folder: PathBuf) -> BatchLog<E> {
        BatchLog { folder, entry: PhantomData }
    }

    /// Fails with [`LogFileError::Exists`] if the batch is logged already.
    pub fn add(&self, batch_id: u64, entry: &E) -> Result<(), LogFileError> {
        let text = format!("v1\n{}", entry.to_text());
        log_file::write_new(&self.path(batch_id), text.as_bytes())
    }

    pub fn get(&self, batch_id: u64) -> Result<Option<E>, LogFileError> {
        let path = self.path(batch_id);
        let Some(text) = log_file::read_text(&path)? else {
            return Ok(None);
        };
        let body = log_file::strip_version(&path, &text)?;
        E::from_text(body).map(Some).map_err(|reason| LogFileError::malformed(&path, reason))
    }

    /// The id and entry of the newest batch.
    pub fn latest(&self) -> Result<Option<(u64, E)>, LogFileError> {
        let Some(batch_id) = self.batch_ids()?.into_iter().max() else {
            return Ok(None);
        };
        Ok(self.get(batch_id)?.map(|entry| (batch_id, entry)))
    }

    /// Deletes the entries of the batches before `keep_from`.
    pub fn purge(&self, keep_from: u64) -> Result<(), LogFileError> {
        for batch_id in self.batch_ids()?.into_iter().filter(|id| *id < keep_from) {
            let path = self.path(batch_id);
            fs::remove_file(&path).map_err(|error| LogFileError::io("delete", &path, error))?;
            // Spark's checksum of the file; absent unless Spark wrote it.
            let _ = fs::remove_file(self.folder.join(format!(".{batch_id}.crc")));
        }
        Ok(())
    }

    /// Whether any batch is logged.
    pub fn is_empty(&self) -> Result<bool, LogFileError> {
        Ok(self.batch_ids()?.is_empty())
    }

    fn path(&self, batch_id: u64) -> PathBuf {
        self.folder.join(batch_id.to_string())
    }

    fn batch_ids(&self) -> Result<Vec<u64>, LogFileError> {
        numbered_files(&self.folder, "")
    }
}

/// The numbers N of the files `N<suffix>` in a folder, which need not exist.
pub fn numbered_files(folder: &Path, suffix: &str) -> Result<Vec<u64>, LogFileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogFileError::io("list", folder, error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| LogFileError::io("list", folder, error))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(suffix));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::commit_log::CommitMetadata;

    #[test]
    fn purges_what_is_older_and_ignores_what_is_no_batch() {
        let folder = tempfile::tempdir().unwrap();
        let log = BatchLog::<CommitMetadata>::new(folder.path().to_owned());
        for batch_id in 0..12 {
            log.add(batch_id, &CommitMetadata::default()).unwrap();
        }
        fs::write(folder.path().join(".0.crc"), b"").unwrap();
        fs::write(folder.path().join(".13.x.tmp"), b"").unwrap();
        log.purge(10).unwrap();
        let mut left = log.batch_ids().unwrap();
        left.sort_unstable();
        assert_eq!(left, [10, 11]);
        assert!(!folder.path().join(".0.crc").exists());
        assert_eq!(log.latest().unwrap().map(|(id, _)| id), Some(11));
    }

    #[test]
    fn a_truncated_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("4"), b"v1\n{\"nextBatch").unwrap();
        let log = BatchLog::<CommitMetadata>::new(folder.path().to_owned());
        let error = log.latest().unwrap_err().to_string();
        let path = folder.path().join("4").display().to_string();
        assert!(error.contains(&path), "{error}");
    }
}
