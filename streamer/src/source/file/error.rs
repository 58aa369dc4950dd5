//! What can go wrong with a source of files.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use thiserror::Error;

use crate::checkpoint::log_file::LogFileError;
use crate::duration_text::DurationTextError;
use crate::options::OptionsError;
use crate::sink::file::FileSinkError;

#[derive(Debug, Error)]
pub enum FileSourceError {
    #[error("'path' is not specified.")]
    NoPath,
    /// Spark's PATH_NOT_FOUND.
    #[error("[PATH_NOT_FOUND] Path does not exist: {path}. SQLSTATE: 42K03")]
    PathNotFound { path: String },
    #[error(
        "Schema must be specified when creating a streaming source DataFrame. If some files already exist in the \
         directory, then depending on the file format you may be able to create a static DataFrame on that directory with \
         'spark.read.load(directory)' and infer schema from it."
    )]
    NoSchema,
    /// Spark's UNABLE_TO_INFER_SCHEMA.
    #[error(
        "[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for {format}. It must be specified manually. SQLSTATE: 42KD9"
    )]
    NothingToInfer { format: &'static str },
    #[error("Text data source supports only a single column, and you have {0} columns.")]
    TextColumns(usize),
    #[error("Invalid value '{value}' for option '{key}', must be {rule}")]
    Value { key: &'static str, value: String, rule: &'static str },
    #[error("Options 'maxFilesPerTrigger' and 'maxBytesPerTrigger' can't be both set at the same time")]
    TwoLimits,
    #[error("Invalid mode for clean source option Some({0}). Must be one of ARCHIVE,DELETE,OFF")]
    CleanSource(String),
    #[error("Archive mode must be used with 'sourceArchiveDir' option.")]
    NoArchive,
    #[error(
        "Base archive path cannot be set to the path where archived path can possibly match with source pattern. Ensure \
         the base archive path doesn't match with source pattern in depth, where the depth is minimum of depth on both \
         paths."
    )]
    ArchiveInSource,
    #[error("Option '{key}' of a {format} source is not served by Ottla: {reason}")]
    NotServed { key: &'static str, format: &'static str, reason: &'static str },
    #[error("The {format} source cannot read the column `{column}` of the type {data_type}")]
    Type { format: &'static str, column: String, data_type: String },
    #[error("a {format} source cannot be read so: {reason}")]
    Reader { format: &'static str, reason: String },
    #[error("the pattern {0} is no pattern of paths")]
    Pattern(String),
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the file {path}, which batch {batch_id} reads, cannot be read: {source}. Bring it back, or set the option \
         'ignoreMissingFiles' to 'true'",
        path = path.display()
    )]
    Missing { path: PathBuf, batch_id: i64, source: io::Error },
    #[error("{path} is no Parquet file that can be read: {source}", path = path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    #[error(
        "the folders of {path} say that {column} is `{value}`, which is no {data_type}",
        path = path.display()
    )]
    PartitionValue { path: PathBuf, column: String, value: String, data_type: String },
    #[error("a line of {path} has more than {max} bytes", path = path.display())]
    LongLine { path: PathBuf, max: usize },
    /// Spark's MALFORMED_RECORD_IN_PARSING, with the file.
    #[error(
        "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file {path}. SQLSTATE: KD001\n\
         [MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] Malformed records are detected in record parsing: {record}.\n\
         Parse Mode: FAILFAST. To process malformed records as null result, try setting the option 'mode' as \
         'PERMISSIVE'.  SQLSTATE: 22023",
        path = path.display()
    )]
    Malformed { path: PathBuf, record: String },
    #[error(
        "[FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH] Encountered error while reading file {path}. Data type \
         mismatches when reading Parquet column `{column}`. Expected Spark type {expected}, actual Parquet type {actual}. \
         SQLSTATE: KD001",
        path = path.display()
    )]
    ParquetType { path: PathBuf, column: String, expected: String, actual: String },
    #[error("values of {path} do not fit their columns: {source}", path = path.display())]
    Values { path: PathBuf, source: ArrowError },
    #[error(transparent)]
    Log(#[from] LogFileError),
    #[error(transparent)]
    Option(#[from] OptionsError),
    #[error(transparent)]
    Duration(#[from] DurationTextError),
    #[error("the folder's _spark_metadata cannot be read: {0}")]
    SinkLog(#[from] FileSinkError),
}

impl FileSourceError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileSourceError {
        let path = path.to_owned();
        move |source| FileSourceError::Io { action, path, source }
    }
}
