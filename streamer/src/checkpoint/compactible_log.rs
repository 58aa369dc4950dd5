//! A log of batches, a line an entry, that is compacted now and then: `N`, or `N.compact`, which repeats all before it.
//! What it repeats is deleted some time later. Spark's `CompactibleFileStreamLog`, of file sources and file sinks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch_log::numbered_files;
use super::log_file::{self, LogFileError};

/// `spark.sql.streaming.fileSink.log.compactInterval`, and the same of `fileSource`.
const COMPACT_INTERVAL: u64 = 10;
/// `spark.sql.streaming.fileSink.log.cleanupDelay`, and the same of `fileSource`.
const CLEANUP_DELAY: Duration = Duration::from_secs(600);
/// `spark.sql.streaming.minBatchesToRetain`
const BATCHES_TO_RETAIN: u64 = 100;

#[derive(Debug)]
pub(crate) struct CompactibleLog {
    folder: PathBuf,
}

/// Batch ids, and whether the batch's log repeats those before it.
pub(crate) type Logs = BTreeMap<u64, bool>;

impl CompactibleLog {
    pub(crate) fn new(folder: PathBuf) -> CompactibleLog {
        CompactibleLog { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn logs(&self) -> Result<Logs, LogFileError> {
        let mut logs: Logs = numbered_files(&self.folder, "")?.into_iter().map(|id| (id, false)).collect();
        logs.extend(numbered_files(&self.folder, ".compact")?.into_iter().map(|id| (id, true)));
        Ok(logs)
    }

    pub(crate) fn latest(&self) -> Result<Option<u64>, LogFileError> {
        Ok(self.logs()?.keys().next_back().copied())
    }

    pub(crate) fn path(&self, batch_id: u64, is_compact: bool) -> PathBuf {
        let suffix = if is_compact { ".compact" } else { "" };
        self.folder.join(format!("{batch_id}{suffix}"))
    }

    /// The entries of a new batch; `before` finds those of all batches before it, where the log is to repeat them.
    pub(crate) fn add<T: Serialize, E: From<LogFileError>>(
        &self,
        batch_id: u64,
        entries: Vec<T>,
        before: impl FnOnce(&Logs) -> Result<Vec<T>, E>,
    ) -> Result<(), E> {
        let logs = self.logs()?;
        if !(batch_id + 1).is_multiple_of(compact_interval(&logs)) {
            log_file::write_new(&self.path(batch_id, false), to_text(&entries).as_bytes())?;
            return Ok(());
        }
        let mut all = before(&logs)?;
        all.extend(entries);
        log_file::write_new(&self.path(batch_id, true), to_text(&all).as_bytes())?;
        self.clean_up(batch_id, &logs);
        Ok(())
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        batch_id: u64,
        is_compact: bool,
    ) -> Result<Vec<T>, LogFileError> {
        let path = self.path(batch_id, is_compact);
        let Some(text) = log_file::read_text(&path)? else {
            return Err(LogFileError::malformed(&path, "it vanished while it was read"));
        };
        let lines = log_file::strip_version(&path, &text)?.lines().filter(|line| !line.is_empty());
        let entry = |line| {
            serde_json::from_str(line).map_err(|error| {
                LogFileError::malformed(&path, format!("`{line}` is no file's line ({error})"))
            })
        };
        lines.map(entry).collect()
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
fn compact_interval(logs: &Logs) -> u64 {
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

fn to_text(entries: &[impl Serialize]) -> String {
    let mut text = String::from("v1");
    for entry in entries {
        text.push('\n');
        // A struct of texts and numbers always is JSON.
        text.push_str(&serde_json::to_string(entry).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_interval_in_the_log_is_kept() {
        for (compact, interval) in [(2, 3), (9, 10), (19, 10), (29, 10), (21, 11), (13, 14)] {
            assert_eq!(compact_interval(&Logs::from([(compact, true)])), interval);
        }
    }
}
