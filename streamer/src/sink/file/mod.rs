//! Files, exactly once: Spark's `FileStreamSink` with its `ManifestFileCommitProtocol`.
//!
//! A batch's files are written first, under names that no other batch has. Then its log appears in `_spark_metadata`, in
//! one piece, and only from then on they count. A batch whose log is there already is not written again. A kill
//! at any point leaves files that no log names, and which no reader of the log sees.

mod csv;
mod error;
mod file_format;
pub(crate) mod log;
mod part;
mod partition;

#[cfg(test)]
mod tests;
pub(crate) mod uri;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

pub use error::FileSinkError;
pub use log::{CommittedFile, FOLDER as LOG_FOLDER, committed_files};
pub use uri::{to_path, to_uri};

use super::{Sink, SinkBatch, SinkContext, SinkError};
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::rows;
use file_format::FileFormat;
use log::FileLog;
use partition::Partitioning;
use writer::{PartitionWriter, Plan};

#[derive(Debug)]
pub struct FileSink {
    name: &'static str,
    folder: PathBuf,
    plan: Plan,
}

impl FileSink {
    /// `name` is json, csv, text or parquet. Options are `path`, those of Spark's writer of that format, and
    /// `maxRecordsPerFile`.
    pub fn new(name: &'static str, options: &Options, context: &SinkContext) -> Result<FileSink, SinkError> {
        let path = options.get("path").ok_or(FileSinkError::MissingPath)?;
        let folder = uri::to_path(path)?;
        let folder = std::path::absolute(&folder).map_err(FileSinkError::io("find", &folder))?;
        let partitioning = Partitioning::new(&context.schema, &context.partition_columns)?;
        let format = FileFormat::new(name, options, context.time_zone, &partitioning.data_schema)?;
        let plan = Plan {
            folder: folder.clone(),
            format: Arc::new(format),
            partitioning: Arc::new(partitioning),
            max_rows: options.count("maxRecordsPerFile", 0)?.filter(|rows| *rows > 0),
            time_zone: context.time_zone,
        };
        Ok(FileSink { name, folder, plan })
    }
}

#[async_trait]
impl Sink for FileSink {
    fn description(&self) -> String {
        // Hadoop's `Path` drops the empty authority.
        format!("FileSink[{}]", uri::to_uri(&self.folder).replacen("file:///", "file:/", 1))
    }

    fn supports(&self, mode: OutputMode) -> Result<(), SinkError> {
        match mode {
            OutputMode::Append => Ok(()),
            mode => Err(SinkError::OutputMode { format: self.name, mode }),
        }
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let log = FileLog::new(&self.folder);
        if log.latest().map_err(SinkError::File)?.is_some_and(|latest| batch.id <= latest) {
            tracing::info!("batch {} is in {} already", batch.id, self.folder.display());
            return batch.drain().await;
        }
        let created = Created::default();
        let written = rows::side_by_side(batch.partitions, |index, partition| {
            PartitionWriter::new(self.plan.clone(), index, created.clone()).drain(partition)
        })
        .await;
        let parts = written.inspect_err(|_| created.remove())?;
        let rows = parts.iter().map(|part| part.rows).sum();
        let files = parts.into_iter().flat_map(|part| part.files).collect();
        log.add(batch.id, files).inspect_err(|_| created.remove())?;
        Ok(rows)
    }
}

/// The files that a batch has made so far, to be removed if it fails.
#[derive(Clone, Default)]
struct Created(Arc<Mutex<Vec<PathBuf>>>);

impl Created {
    fn add(&self, path: &Path) {
        self.0.lock().push(path.to_owned());
    }

    /// One that cannot be removed is one more file that no log names.
    fn remove(&self) {
        for path in self.0.lock().drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }
}
