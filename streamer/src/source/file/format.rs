//! What the files are, and how one is read.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Fields, Schema};

use super::csv::CsvFiles;
use super::error::FileSourceError;
use super::json::JsonFiles;
use super::lines::{self, LineSeparator};
use super::parquet::ParquetRows;
use super::text::TextRows;
use crate::functions::json::{JsonOptions, TimeReader};
use crate::malformed_records::MalformedRecords;
use crate::options::Options;

/// Rows and bytes of text after which a batch of rows is handed on.
pub(super) const MAX_ROWS: usize = 8_192;
pub(super) const MAX_BYTES: usize = 8 << 20;

#[derive(Clone, Debug)]
pub(super) enum FileFormat {
    Text { separator: LineSeparator, is_whole: bool },
    Csv(Arc<CsvFiles>),
    Json(Arc<JsonFiles>),
    Parquet,
}

/// What becomes of a record that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// What does not fit is null, and the record's text goes into the column for such.
    Permissive,
    DropMalformed,
    FailFast,
}

/// What readers of CSV and of JSON both are told.
#[derive(Clone, Debug)]
pub(super) struct RecordOptions {
    pub(super) mode: Mode,
    /// The column that takes the text of a record that does not fit.
    pub(super) corrupt_record: String,
    pub(super) separator: LineSeparator,
    pub(super) multi_line: bool,
    pub(super) json: JsonOptions,
}

/// The columns of a file that are wanted, and all that it has; without those that its folders name.
#[derive(Clone, Debug)]
pub(super) struct FileColumns {
    pub(super) wanted: Fields,
    pub(super) all: Fields,
    /// Is told of records that do not fit.
    pub(super) malformed: Arc<MalformedRecords>,
}

/// The rows of one file: batches with the wanted columns.
pub(super) type Rows = Box<dyn Iterator<Item = Result<RecordBatch, FileSourceError>> + Send>;

impl FileFormat {
    pub(super) fn new(
        name: &'static str,
        options: &Options,
        time_zone: &str,
    ) -> Result<FileFormat, FileSourceError> {
        Ok(match name {
            "text" => FileFormat::Text {
                separator: LineSeparator::new(options.get("lineSep")),
                is_whole: options.boolean("wholetext", false)?,
            },
            "csv" => FileFormat::Csv(Arc::new(CsvFiles::new(options, time_zone)?)),
            "json" => FileFormat::Json(Arc::new(JsonFiles::new(options, time_zone)?)),
            _ => FileFormat::Parquet,
        })
    }

    /// Refuses columns that such files cannot have.
    pub(super) fn check(&self, data: &Fields) -> Result<(), FileSourceError> {
        match self {
            FileFormat::Text { .. } => match data.as_ref() {
                [field] if *field.data_type() == DataType::Utf8 => Ok(()),
                [field] => Err(FileSourceError::Type {
                    format: "text",
                    column: field.name().clone(),
                    data_type: field.data_type().to_string(),
                }),
                fields => Err(FileSourceError::TextColumns(fields.len())),
            },
            FileFormat::Csv(csv) => csv.check(data),
            FileFormat::Json(_) | FileFormat::Parquet => Ok(()),
        }
    }

    /// An error of the file system means that the file cannot be opened.
    pub(super) fn open(
        &self,
        path: &Path,
        columns: &FileColumns,
    ) -> std::io::Result<Result<Rows, FileSourceError>> {
        Ok(match self {
            FileFormat::Text { separator, is_whole } => {
                TextRows::open(lines::open(path)?, path, separator.clone(), *is_whole, columns)
            }
            FileFormat::Csv(csv) => csv.open(lines::open(path)?, path, columns),
            FileFormat::Json(json) => json.open(lines::open(path)?, path, columns),
            FileFormat::Parquet => ParquetRows::open(std::fs::File::open(path)?, path, columns),
        })
    }
}

impl RecordOptions {
    pub(super) fn new(
        format: &'static str,
        options: &Options,
        time_zone: &str,
    ) -> Result<RecordOptions, FileSourceError> {
        if let Some(encoding) = options.get("encoding").or(options.get("charset"))
            && !encoding.eq_ignore_ascii_case("UTF-8")
        {
            let reason = "files are read as UTF-8";
            return Err(FileSourceError::NotServed { key: "encoding", format, reason });
        }
        let mode = match options.get("mode").map(str::to_uppercase).as_deref() {
            Some("DROPMALFORMED") => Mode::DropMalformed,
            Some("FAILFAST") => Mode::FailFast,
            _ => Mode::Permissive,
        };
        // What is malformed is judged here, with the name of the file.
        let pairs = options.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("mode"));
        let pairs: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let json = JsonOptions::of_session(&pairs, time_zone)
            .map_err(|error| FileSourceError::Reader { format, reason: error.strip_backtrace() })?;
        Ok(RecordOptions {
            mode,
            corrupt_record: options.get("columnNameOfCorruptRecord").unwrap_or("_corrupt_record").to_owned(),
            separator: LineSeparator::new(options.get("lineSep")),
            multi_line: options.boolean("multiLine", false)?,
            json,
        })
    }

    pub(super) fn times(&self) -> &TimeReader {
        self.json.times()
    }

    pub(super) fn is_corrupt_record(&self, column: &str) -> bool {
        column.eq_ignore_ascii_case(&self.corrupt_record)
    }
}

/// A batch of these columns, which may be none.
pub(super) fn batch(
    fields: &Fields,
    columns: Vec<ArrayRef>,
    rows: usize,
    path: &Path,
) -> Result<RecordBatch, FileSourceError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.clone())), columns, &options)
        .map_err(|source| FileSourceError::Values { path: path.to_owned(), source })
}
