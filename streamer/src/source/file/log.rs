//! `sources/<i>/N`: which files each batch of a source is. Spark's `FileStreamSourceLog`.
//!
//! Every tenth log is `N.compact`, which repeats all before it; what it repeats is deleted some time later.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::FileSourceError;
use crate::checkpoint::compactible_log::CompactibleLog;
use crate::checkpoint::log_file::LogFileError;

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
    log: CompactibleLog,
}

impl SourceLog {
    pub(super) fn new(folder: PathBuf) -> SourceLog {
        SourceLog { log: CompactibleLog::new(folder) }
    }

    /// -1 before the first one.
    pub(super) fn latest(&self) -> Result<i64, FileSourceError> {
        Ok(self.log.latest()?.map_or(-1, |id| i64::try_from(id).unwrap_or(i64::MAX)))
    }

    /// The files of the batches behind `from` up to `to`, each batch's in order.
    pub(super) fn between(&self, from: i64, to: i64) -> Result<Vec<FileEntry>, FileSourceError> {
        let (Ok(first), Ok(last)) = (u64::try_from(from.saturating_add(1)), u64::try_from(to)) else {
            return Ok(Vec::new());
        };
        let logs = self.log.logs()?;
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
                let path = self.log.path(id, false);
                return Err(LogFileError::malformed(
                    &path,
                    "it is missing, and with it the files of its batch",
                )
                .into());
            };
            entries.extend(self.log.read::<FileEntry>(id, *is_compact)?);
        }
        entries.retain(|entry| entry.batch_id > from && entry.batch_id <= to);
        Ok(entries)
    }

    /// The files of a new batch.
    pub(super) fn add(&self, batch_id: i64, entries: Vec<FileEntry>) -> Result<(), FileSourceError> {
        let id = u64::try_from(batch_id).unwrap_or_default();
        self.log.add(id, entries, |_| self.between(-1, batch_id - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
