//! `sources/<i>/N`: which files each batch of a source is. Spark's `FileStreamSourceLog`.
//!
//! Every tenth log is `N.compact`, which repeats all before it; what it repeats is deleted some time later.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::FileSourceError;
use crate::checkpoint::batch_log::numbered_files;
use crate::checkpoint::log_file::{self, LogFileError};
use crate::sink::file::log::compact_interval;

/// `spark.sql.streaming.fileSource.log.cleanupDelay`
const CLEANUP_DELAY: Duration = Duration::from_secs(600);
/// `spark.sql.streaming.minBatchesToRetain`
const BATCHES_TO_RETAIN: i64 = 100;

/// A file of a batch, in the order of Spark's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileEntry {
    /// A URI.
    pub(super) path: String,
    /// When the file was changed last, in milliseconds since 1970.
    pub(super) timestamp: i64,
    #[serde(default = "no_batch")]
    pub(super) batch_id: i64,
}

fn no_batch() -> i64 {
    -1
}

#[derive(Debug)]
pub(super) struct SourceLog {
    folder: PathBuf,
}

/// Batch ids, and whether the batch's log repeats those before it.
type Logs = BTreeMap<u64, bool>;

impl SourceLog {
    pub(super) fn new(folder: PathBuf) -> SourceLog {
        SourceLog { folder }
    }

    /// -1 before the first one.
    pub(super) fn latest(&self) -> Result<i64, FileSourceError> {
        Ok(self.logs()?.keys().next_back().map_or(-1, |id| i64::try_from(*id).unwrap_or(i64::MAX)))
    }

    /// The files of the batches behind `from` up to `to`, each batch's in order.
    pub(super) fn between(&self, from: i64, to: i64) -> Result<Vec<FileEntry>, FileSourceError> {
        let (Ok(first), Ok(last)) = (u64::try_from(from.saturating_add(1)), u64::try_from(to)) else {
            return Ok(Vec::new());
        };
        let logs = self.logs()?;
        let compact = logs.range(first..=last).rev().find(|(_, is_compact)| **is_compact);
        let mut begin = compact.map_or(first, |(compact, _)| *compact);
        if !logs.contains_key(&begin) {
            // Deleted, because a later one repeats it.
            let repeated = logs.range(begin..).find(|(_, is_compact)| **is_compact);
            begin = repeated.map_or(begin, |(compact, _)| *compact);
        }
        let mut entries = Vec::new();
        for id in begin..=last.max(begin) {
            let Some(is_compact) = logs.get(&id) else {
                let path = self.path(id, false);
                return Err(LogFileError::malformed(
                    &path,
                    "it is missing, and with it the files of its batch",
                )
                .into());
            };
            entries.extend(self.read(id, *is_compact)?);
        }
        entries.retain(|entry| entry.batch_id > from && entry.batch_id <= to);
        Ok(entries)
    }

    /// The files of a new batch.
    pub(super) fn add(&self, batch_id: i64, entries: Vec<FileEntry>) -> Result<(), FileSourceError> {
        let id = u64::try_from(batch_id).unwrap_or_default();
        let logs = self.logs()?;
        if !(id + 1).is_multiple_of(compact_interval(&logs)) {
            return Ok(log_file::write_new(&self.path(id, false), to_text(&entries).as_bytes())?);
        }
        let mut all = self.between(-1, batch_id - 1)?;
        all.extend(entries);
        log_file::write_new(&self.path(id, true), to_text(&all).as_bytes())?;
        self.clean_up(batch_id, &logs);
        Ok(())
    }

    fn path(&self, id: u64, is_compact: bool) -> PathBuf {
        self.folder.join(format!("{id}{}", if is_compact { ".compact" } else { "" }))
    }

    fn logs(&self) -> Result<Logs, FileSourceError> {
        let mut logs: Logs = numbered_files(&self.folder, "")?.into_iter().map(|id| (id, false)).collect();
        logs.extend(numbered_files(&self.folder, ".compact")?.into_iter().map(|id| (id, true)));
        Ok(logs)
    }

    fn read(&self, id: u64, is_compact: bool) -> Result<Vec<FileEntry>, FileSourceError> {
        let path = self.path(id, is_compact);
        let Some(text) = log_file::read_text(&path)? else {
            return Err(LogFileError::malformed(&path, "it vanished while it was read").into());
        };
        let lines = log_file::strip_version(&path, &text)?.lines().filter(|line| !line.is_empty());
        let entry = |line| {
            serde_json::from_str(line).map_err(|error| {
                LogFileError::malformed(&path, format!("`{line}` is no file's line ({error})")).into()
            })
        };
        lines.map(entry).collect()
    }

    /// A file that stays costs its space only.
    fn clean_up(&self, batch_id: i64, logs: &Logs) {
        let Ok(oldest) = u64::try_from(batch_id - BATCHES_TO_RETAIN) else {
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

fn to_text(entries: &[FileEntry]) -> String {
    let mut text = String::from("v1");
    for entry in entries {
        text.push('\n');
        // A struct of a text and two numbers always is JSON.
        text.push_str(&serde_json::to_string(entry).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(batch_id: i64) -> FileEntry {
        let path = format!("file:///tmp/ask/j4/n{batch_id}.json");
        FileEntry { path, timestamp: 1_700_000_000_000 + batch_id * 1_000, batch_id }
    }

    #[test]
    fn the_bytes_are_spark_s_and_every_tenth_log_repeats_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let log = SourceLog::new(folder.path().to_owned());
        assert_eq!(log.latest().unwrap(), -1);
        for id in 0..23 {
            log.add(id, vec![entry(id)]).unwrap();
        }
        let text = fs::read_to_string(folder.path().join("1")).unwrap();
        assert_eq!(
            text,
            "v1\n{\"path\":\"file:///tmp/ask/j4/n1.json\",\"timestamp\":1700000001000,\"batchId\":1}"
        );
        let text = fs::read_to_string(folder.path().join("9.compact")).unwrap();
        assert_eq!(text.lines().count(), 11);
        let batches = |from, to| -> Vec<i64> {
            log.between(from, to).unwrap().into_iter().map(|entry| entry.batch_id).collect()
        };
        assert_eq!(batches(-1, 22), Vec::from_iter(0..23));
        assert_eq!(batches(3, 5), [4, 5]);
        assert_eq!(batches(7, 11), [8, 9, 10, 11]);
        for id in 0..9 {
            fs::remove_file(folder.path().join(id.to_string())).unwrap();
        }
        assert_eq!((batches(-1, 22), batches(3, 5)), (Vec::from_iter(0..23), vec![4, 5]));
        fs::remove_file(folder.path().join("21")).unwrap();
        assert!(log.between(19, 22).unwrap_err().to_string().contains("21"));
    }
}
