//! What can go wrong with a file sink.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::parquet::errors::ParquetError;
use thiserror::Error;

use crate::checkpoint::log_file::LogFileError;

#[derive(Debug, Error)]
pub enum FileSinkError {
    #[error("'path' is not specified.")]
    MissingPath,
    #[error(
        "cannot {action} {path}: {source}. No row of this batch counts before its line in _spark_metadata stands; \
         once the cause is gone, start the query again",
        path = path.display()
    )]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}. Once the cause is gone, start the query again", path = path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    #[error(transparent)]
    Log(#[from] LogFileError),
    /// Spark's CODEC_NOT_AVAILABLE.
    #[error(
        "[CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION] The codec {codec} is not available. Available codecs \
         are {available}. SQLSTATE: 56038"
    )]
    Codec { codec: String, available: &'static str },
    /// Spark's UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE.
    #[error(
        "[UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE] The {source_name} datasource doesn't support the column `{column}` of the \
         type \"{data_type}\". SQLSTATE: 0A000"
    )]
    UnsupportedType { source_name: &'static str, column: String, data_type: String },
    /// Spark's words.
    #[error("Text data source supports only a single column, and you have {0} columns.")]
    TextColumns(usize),
    #[error("Partition column {name} not found in existing columns ({known}).")]
    PartitionColumn { name: String, known: String },
    #[error(
        "Option '{option}' of a {format} sink is not served by Ottla yet; leave it out for Spark's default"
    )]
    NotServed { option: &'static str, format: &'static str },
    #[error("{0}")]
    Pattern(String),
    #[error(
        "{path} is missing, which the log of the batches up to {batch_id} needs; restore it, or write to a new folder",
        path = path.display()
    )]
    MissingLog { path: PathBuf, batch_id: u64 },
    #[error("{text} is no path of a file on this machine")]
    NotLocal { text: String },
}

impl FileSinkError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileSinkError {
        let path = path.to_owned();
        move |source| FileSinkError::Io { action, path, source }
    }
}
