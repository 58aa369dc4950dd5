//! `_spark_metadata`: which files of the folder count, a line each, in a file per batch. Spark's `FileStreamSinkLog`.
//!
//! Every tenth batch has `N.compact` instead of `N`, which repeats all lines before it; what it repeats is deleted some
//! time later. Whoever reads the folder trusts this log alone, so a file counts from the moment that its line appears.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::error::FileSinkError;
use super::uri;
use crate::checkpoint::batch_log::numbered_files;
use crate::checkpoint::log_file::{self, LogFileError};

/// The folder of the log in the sink's folder.
pub const FOLDER: &str = "_spark_metadata";

/// `spark.sql.streaming.fileSink.log.compactInterval`
const COMPACT_INTERVAL: u64 = 10;
/// `spark.sql.streaming.fileSink.log.cleanupDelay`
const CLEANUP_DELAY: Duration = Duration::from_secs(600);
/// `spark.sql.streaming.minBatchesToRetain`
const BATCHES_TO_RETAIN: u64 = 100;

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
    if !log.folder.is_dir() {
        return Ok(None);
    }
    let logs = log.logs()?;
    match logs.keys().next_back() {
        None => Ok(Some(Vec::new())),
        Some(latest) => log.files_up_to(*latest, &logs).map(Some),
    }
}

pub(super) struct FileLog {
    folder: PathBuf,
}

/// Batch ids, and whether the batch's log repeats those before it.
type Logs = BTreeMap<u64, bool>;

impl FileLog {
    pub(super) fn new(sink_folder: &Path) -> FileLog {
        FileLog { folder: sink_folder.join(FOLDER) }
    }

    pub(super) fn latest(&self) -> Result<Option<u64>, FileSinkError> {
        Ok(self.logs()?.keys().next_back().copied())
    }

    /// The moment from which the batch's files count.
    pub(super) fn add(&self, batch_id: u64, files: Vec<CommittedFile>) -> Result<(), FileSinkError> {
        let logs = self.logs()?;
        let interval = compact_interval(&logs);
        if !(batch_id + 1).is_multiple_of(interval) {
            return Ok(log_file::write_new(&self.path(batch_id, false), to_text(&files).as_bytes())?);
        }
        let mut all = match batch_id.checked_sub(1) {
            Some(previous) if !logs.is_empty() => self.files_up_to(previous, &logs)?,
            _ => Vec::new(),
        };
        all.extend(files);
        log_file::write_new(&self.path(batch_id, true), to_text(&all).as_bytes())?;
        self.clean_up(batch_id, &logs);
        Ok(())
    }

    fn path(&self, batch_id: u64, is_compact: bool) -> PathBuf {
        let suffix = if is_compact { ".compact" } else { "" };
        self.folder.join(format!("{batch_id}{suffix}"))
    }

    fn logs(&self) -> Result<Logs, FileSinkError> {
        let mut logs: Logs =
            numbered_files(&self.folder, "")?.into_iter().map(|batch_id| (batch_id, false)).collect();
        logs.extend(numbered_files(&self.folder, ".compact")?.into_iter().map(|batch_id| (batch_id, true)));
        Ok(logs)
    }

    /// The newest log that repeats all, and every one after it.
    fn files_up_to(&self, batch_id: u64, logs: &Logs) -> Result<Vec<CommittedFile>, FileSinkError> {
        let compact = logs.range(..=batch_id).rev().find(|(_, is_compact)| **is_compact);
        let first = compact.map_or(0, |(compact, _)| *compact);
        let mut files = Vec::new();
        for id in first..=batch_id {
            let Some(is_compact) = logs.get(&id) else {
                return Err(FileSinkError::MissingLog { path: self.path(id, false), batch_id });
            };
            files.extend(read(&self.path(id, *is_compact))?);
        }
        Ok(without_deleted(files))
    }

    /// Deletes what a later log repeats, where no reader may still be at it. A file that stays costs its space only.
    fn clean_up(&self, batch_id: u64, logs: &Logs) {
        let Some(oldest) = batch_id.checked_sub(BATCHES_TO_RETAIN) else {
            return;
        };
        let Some((compact, _)) = logs.range(..=oldest).rev().find(|(_, is_compact)| **is_compact) else {
            return;
        };
        for (id, is_compact) in logs.range(..compact) {
            let path = self.path(*id, *is_compact);
            let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
            if matches!(age, Ok(Ok(age)) if age > CLEANUP_DELAY) {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(self.folder.join(format!(".{id}.crc")));
            }
        }
    }
}

/// Ours, unless a query with another setting began the log: then one at which its newest compact log lies.
pub(crate) fn compact_interval(logs: &BTreeMap<u64, bool>) -> u64 {
    let Some((compact, _)) = logs.iter().rev().find(|(_, is_compact)| **is_compact) else {
        return COMPACT_INTERVAL;
    };
    let batches = compact + 1;
    if batches <= COMPACT_INTERVAL {
        return batches;
    }
    let divisors = COMPACT_INTERVAL..=batches / 2;
    divisors.into_iter().find(|divisor| batches.is_multiple_of(*divisor)).unwrap_or(batches)
}

fn to_text(files: &[CommittedFile]) -> String {
    let mut text = String::from("v1");
    for file in files {
        text.push('\n');
        // A struct of texts and numbers always is JSON.
        text.push_str(&serde_json::to_string(file).unwrap_or_default());
    }
    text
}

fn read(path: &Path) -> Result<Vec<CommittedFile>, FileSinkError> {
    let Some(text) = log_file::read_text(path)? else {
        return Err(LogFileError::malformed(path, "it vanished while it was read").into());
    };
    let lines = log_file::strip_version(path, &text)?.lines().filter(|line| !line.is_empty());
    let file = |line| {
        serde_json::from_str(line).map_err(|error| {
            LogFileError::malformed(path, format!("`{line}` is no file's line ({error})")).into()
        })
    };
    lines.map(file).collect()
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

    #[test]
    fn another_interval_in_the_log_is_kept() {
        for (compact, interval) in [(2, 3), (9, 10), (19, 10), (29, 10), (21, 11), (13, 14)] {
            assert_eq!(compact_interval(&Logs::from([(compact, true)])), interval);
        }
    }
}
