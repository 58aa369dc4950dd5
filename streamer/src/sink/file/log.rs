//! `_spark_metadata`: which files of the folder count, a line each, in a file per batch. Spark's `FileStreamSinkLog`.
//!
//! Every tenth batch has `N.compact` instead of `N`, which repeats all lines before it; what it repeats is deleted some
//! time later. Whoever reads the folder trusts this log alone, so a file counts from the moment that its line appears.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::FileSinkError;
use super::uri;
use crate::checkpoint::compactible_log::{CompactibleLog, Logs};

/// The folder of the log in the sink's folder.
pub const FOLDER: &str = "_spark_metadata";

/// A file that a batch has written: Spark's `SinkFileStatus`, in the order of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommittedFile {
    /// A URI.
    path: String,
    size: u64,
    is_dir: bool,
    /// Milliseconds since 1970.
    modification_time: i64,
    block_replication: u32,
    block_size: u64,
    action: String,
}

impl CommittedFile {
    /// The file as it lies there now.
    pub(super) fn of(path: &Path) -> Result<CommittedFile, FileSinkError> {
        let metadata = fs::metadata(path).map_err(FileSinkError::io("look at", path))?;
        let modified = metadata.modified().unwrap_or(SystemTime::now());
        let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(CommittedFile {
            path: uri::to_uri(path),
            size: metadata.len(),
            is_dir: false,
            modification_time: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
            // What Hadoop's local file system says of every file.
            block_replication: 1,
            block_size: 32 << 20,
            action: "add".to_owned(),
        })
    }

    pub fn path(&self) -> Result<PathBuf, FileSinkError> {
        uri::to_path(&self.path)
    }

    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Milliseconds since 1970.
    pub fn modification_time_ms(&self) -> i64 {
        self.modification_time
    }
}

/// The files of a folder that count, in the order in which they were written; `None` where the folder has no log and
/// all its files count.
pub fn committed_files(folder: &Path) -> Result<Option<Vec<CommittedFile>>, FileSinkError> {
    let log = FileLog::new(folder);
    if !log.log.folder().is_dir() {
        return Ok(None);
    }
    let logs = log.log.logs()?;
    match logs.keys().next_back() {
        None => Ok(Some(Vec::new())),
        Some(latest) => log.files_up_to(*latest, &logs).map(Some),
    }
}

pub(super) struct FileLog {
    log: CompactibleLog,
}

impl FileLog {
    pub(super) fn new(sink_folder: &Path) -> FileLog {
        FileLog { log: CompactibleLog::new(sink_folder.join(FOLDER)) }
    }

    pub(super) fn latest(&self) -> Result<Option<u64>, FileSinkError> {
        Ok(self.log.latest()?)
    }

    /// The moment from which the batch's files count.
    pub(super) fn add(&self, batch_id: u64, files: Vec<CommittedFile>) -> Result<(), FileSinkError> {
        self.log.add(batch_id, files, |logs| match batch_id.checked_sub(1) {
            Some(previous) if !logs.is_empty() => self.files_up_to(previous, logs),
            _ => Ok(Vec::new()),
        })
    }

    /// The newest log that repeats all, and every one after it.
    fn files_up_to(&self, batch_id: u64, logs: &Logs) -> Result<Vec<CommittedFile>, FileSinkError> {
        let compact = logs.range(..=batch_id).rev().find(|(_, is_compact)| **is_compact);
        let first = compact.map_or(0, |(compact, _)| *compact);
        let mut files = Vec::new();
        for id in first..=batch_id {
            let Some(is_compact) = logs.get(&id) else {
                return Err(FileSinkError::MissingLog { path: self.log.path(id, false), batch_id });
            };
            files.extend(self.log.read(id, *is_compact)?);
        }
        Ok(without_deleted(files))
    }
}

/// Spark knows lines that take a file back.
fn without_deleted(files: Vec<CommittedFile>) -> Vec<CommittedFile> {
    let deleted: Vec<_> =
        files.iter().filter(|file| file.action == "delete").map(|file| file.path.clone()).collect();
    if deleted.is_empty() {
        return files;
    }
    files.into_iter().filter(|file| !deleted.contains(&file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> CommittedFile {
        CommittedFile {
            path: format!("file:///out/{name}"),
            size: 1427,
            is_dir: false,
            modification_time: 1_795_350_378_913,
            block_replication: 1,
            block_size: 33_554_432,
            action: "add".to_owned(),
        }
    }

    #[test]
    fn the_bytes_are_spark_s() {
        let folder = tempfile::tempdir().unwrap();
        FileLog::new(folder.path()).add(3, vec![file("part-00000.snappy.parquet")]).unwrap();
        let text = fs::read_to_string(folder.path().join("_spark_metadata/3")).unwrap();
        let expected = "v1\n{\"path\":\"file:///out/part-00000.snappy.parquet\",\"size\":1427,\"isDir\":false,\
                        \"modificationTime\":1795350378913,\"blockReplication\":1,\"blockSize\":33554432,\
                        \"action\":\"add\"}";
        assert_eq!(text, expected);
    }

    #[test]
    fn every_tenth_log_repeats_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = FileLog::new(folder.path());
        assert_eq!(committed_files(folder.path()).unwrap(), None);
        for batch_id in 0..23 {
            log.add(batch_id, vec![file(&batch_id.to_string())]).unwrap();
        }
        assert!(folder.path().join("_spark_metadata/19.compact").exists());
        for covered in [0, 5, 12] {
            fs::remove_file(folder.path().join(format!("_spark_metadata/{covered}"))).unwrap();
        }
        let files = committed_files(folder.path()).unwrap().unwrap();
        let expected: Vec<_> = (0..23).map(|batch_id: u64| file(&batch_id.to_string())).collect();
        assert_eq!((files, log.latest().unwrap()), (expected, Some(22)));
        fs::remove_file(folder.path().join("_spark_metadata/21")).unwrap();
        let error = committed_files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("21") && error.contains("is missing"), "{error}");
    }
}
