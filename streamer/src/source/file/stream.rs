//! A running query's source of files. Spark's `FileStreamSource`.
//!
//! A batch's files are logged before the batch is: killed in between, the query finds them in its log, and reads them in
//! its next batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::FileDefinition;
use super::batch::{BatchFile, FileBatch};
use super::error::FileSourceError;
use super::listing::{self, FoundFile};
use super::log::{FileEntry, SourceLog};
use super::options::{CleanSource, Limit};
use super::seen::SeenFiles;
use crate::sink::file::uri;
use crate::source::{BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceError};

/// How often the folder is looked at while nothing comes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// As it stands in the checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileOffset {
    log_offset: i64,
}

pub(super) struct FileStream {
    definition: FileDefinition,
    log: SourceLog,
    /// The batch that was logged last; -1 before the first one.
    current: i64,
    seen: SeenFiles,
    /// What `availableNow` has still to read.
    available_now: Option<VecDeque<FoundFile>>,
}

impl FileStream {
    pub(super) fn open(definition: FileDefinition, log: SourceLog) -> Result<FileStream, FileSourceError> {
        let current = log.latest()?;
        let options = &definition.options;
        let mut seen = SeenFiles::new(options.max_file_age_ms, options.file_name_only);
        for entry in log.between(-1, current)? {
            seen.add(&entry.path, entry.timestamp);
        }
        seen.purge();
        Ok(FileStream { definition, log, current, seen, available_now: None })
    }

    fn new_files(&self) -> Result<VecDeque<FoundFile>, FileSourceError> {
        let files = listing::list(&self.definition.options)?;
        Ok(files.into_iter().filter(|file| self.seen.is_new(&file.uri, file.modified_ms)).collect())
    }

    /// Logs the files of the next batch, if there are new ones.
    fn log_next(&mut self, limit: ReadLimit) -> Result<(), FileSourceError> {
        let limit = self.definition.options.limit.filter(|_| limit == ReadLimit::OwnOptions);
        let files = match &mut self.available_now {
            Some(rest) => {
                let behind = rest.split_off(count(rest, limit));
                std::mem::replace(rest, behind)
            }
            None => {
                let mut files = self.new_files()?;
                files.truncate(count(&files, limit));
                files
            }
        };
        if files.is_empty() {
            return Ok(());
        }
        let batch_id = self.current + 1;
        let entry =
            |file: &FoundFile| FileEntry { path: file.uri.clone(), timestamp: file.modified_ms, batch_id };
        self.log.add(batch_id, files.iter().map(entry).collect())?;
        for file in &files {
            self.seen.add(&file.uri, file.modified_ms);
        }
        self.seen.purge();
        self.current = batch_id;
        Ok(())
    }

    fn number(&self, offset: Option<&Offset>) -> Result<i64, SourceError> {
        offset.map_or(Ok(-1), |offset| self.parse(&offset.0))
    }

    /// The oldest Sparks wrote a bare number.
    fn parse(&self, json: &str) -> Result<i64, SourceError> {
        let number = || json.trim().parse().ok();
        let offset = serde_json::from_str::<FileOffset>(json).ok().map(|offset| offset.log_offset);
        offset
            .or_else(number)
            .ok_or_else(|| SourceError::Offset { json: json.to_owned(), description: self.description() })
    }
}

/// How many of the files are the next batch's.
fn count(files: &VecDeque<FoundFile>, limit: Option<Limit>) -> usize {
    match limit {
        None => files.len(),
        Some(Limit::Files(max)) => files.len().min(usize::try_from(max).unwrap_or(usize::MAX)),
        Some(Limit::Bytes(max)) => {
            let mut bytes = 0_u64;
            let fitting = files.iter().take_while(|file| {
                bytes = bytes.saturating_add(file.bytes);
                bytes <= max
            });
            fitting.count().max(1).min(files.len())
        }
    }
}

fn offset(number: i64) -> Offset {
    Offset(format!("{{\"logOffset\":{number}}}"))
}

#[async_trait]
impl Source for FileStream {
    fn description(&self) -> String {
        self.definition.options.description()
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(offset(self.parse(json)?))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(None)
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(self.new_files()?);
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        _from: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        self.log_next(limit)?;
        let end = (self.current >= 0).then(|| offset(self.current));
        Ok(LatestOffset { end, available: None })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let entries = self.log.between(self.number(from)?, self.number(Some(to))?)?;
        let root = &self.definition.options.absolute;
        let mut files = Vec::with_capacity(entries.len());
        for entry in entries {
            let path = uri::to_path(&entry.path).map_err(FileSourceError::from)?;
            let partitions = match self.definition.options.recursive {
                true => Vec::new(),
                false => listing::partitions_of(root, &path),
            };
            files.push(BatchFile { path, batch_id: entry.batch_id, partitions });
        }
        Ok(Arc::new(FileBatch {
            schema: self.definition.schema.clone(),
            format: self.definition.format.clone(),
            partition_columns: self.definition.partition_columns.clone(),
            ignore_missing: self.definition.options.ignore_missing,
            files,
            tells_of_malformed: true,
        }))
    }

    async fn commit(&mut self, end: &Offset) -> Result<(), SourceError> {
        let clean = &self.definition.options.clean;
        if *clean == CleanSource::Off {
            return Ok(());
        }
        let end = self.number(Some(end))?;
        for entry in self.log.between(end - 1, end)? {
            clean.clean(&uri::to_path(&entry.path).map_err(FileSourceError::from)?);
        }
        Ok(())
    }

    async fn wait_for_data(&mut self, _from: Option<&Offset>, max_wait: Duration) -> Result<(), SourceError> {
        tokio::time::sleep(POLL_INTERVAL.min(max_wait)).await;
        Ok(())
    }
}
