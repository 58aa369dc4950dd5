//! What the files are: JSON, CSV, text or Parquet, and how they are compressed.

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::error::ArrowError;
use parquet::basic::Compression;

use super::csv::CsvRows;
use super::error::FileSinkError;
use crate::datetime::pattern::TimePatterns;
use crate::format::json::JsonFormat;
use crate::format::type_name;
use crate::options::Options;
use crate::sink::SinkError;

#[derive(Clone, Debug)]
pub(super) struct FileFormat {
    pub(super) rows: Rows,
    pub(super) codec: Codec,
}

#[derive(Clone, Debug)]
pub(super) enum Rows {
    Json { format: JsonFormat, names: Vec<String>, line_separator: String },
    Csv(Box<CsvRows>),
    Text { line_separator: String },
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    /// zlib's framing, as Hadoop's codec of that name.
    Deflate,
    Snappy,
}

impl FileFormat {
    /// `schema` is that of the files, without the columns that name folders.
    pub(super) fn new(
        name: &'static str,
        options: &Options,
        time_zone: Tz,
        schema: &Schema,
    ) -> Result<FileFormat, SinkError> {
        let is_utf8 = options.get("encoding").is_none_or(|encoding| encoding.eq_ignore_ascii_case("UTF-8"));
        if name != "parquet" && !is_utf8 {
            return Err(FileSinkError::NotServed { option: "encoding", format: name }.into());
        }
        let json = || -> Result<JsonFormat, SinkError> {
            let patterns = TimePatterns::from_options(|option| options.get(option));
            let patterns = patterns.map_err(|error| FileSinkError::Pattern(error.strip_backtrace()))?;
            Ok(JsonFormat::new(time_zone).with_patterns(patterns))
        };
        let line_separator = options.get("lineSep").unwrap_or("\n").to_owned();
        let rows = match name {
            "json" => {
                let format = json()?.with_nulls(!options.boolean("ignoreNullFields", true)?);
                let names = schema.fields().iter().map(|field| field.name().clone()).collect();
                Rows::Json { format, names, line_separator }
            }
            "csv" => {
                CsvRows::check(schema)?;
                Rows::Csv(Box::new(CsvRows::new(options, time_zone, json()?)?))
            }
            "text" => {
                check_text(schema)?;
                Rows::Text { line_separator }
            }
            _ => Rows::Parquet,
        };
        let codec = codec(options, matches!(rows, Rows::Parquet))?;
        Ok(FileFormat { rows, codec })
    }

    /// What stands behind `c000`.
    pub(super) fn extension(&self) -> &'static str {
        match (&self.rows, self.codec) {
            (Rows::Json { .. }, Codec::Gzip) => ".json.gz",
            (Rows::Json { .. }, Codec::Deflate) => ".json.deflate",
            (Rows::Json { .. }, _) => ".json",
            (Rows::Csv(_), Codec::Gzip) => ".csv.gz",
            (Rows::Csv(_), Codec::Deflate) => ".csv.deflate",
            (Rows::Csv(_), _) => ".csv",
            (Rows::Text { .. }, Codec::Gzip) => ".txt.gz",
            (Rows::Text { .. }, Codec::Deflate) => ".txt.deflate",
            (Rows::Text { .. }, _) => ".txt",
            (Rows::Parquet, Codec::Snappy) => ".snappy.parquet",
            (Rows::Parquet, _) => ".parquet",
        }
    }

    /// Appends the line of a row, whose columns are in the layouts of `spark_layout`; Parquet has none. What `scratch` holds
    /// does not count.
    pub(super) fn write_row(
        &self,
        lines: &mut String,
        scratch: &mut String,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<(), ArrowError> {
        match &self.rows {
            Rows::Json { format, names, line_separator } => {
                format.write_row(lines, names.iter().map(String::as_str), batch.columns(), row)?;
                lines.push_str(line_separator);
            }
            Rows::Csv(csv) => csv.write_row(lines, scratch, batch, row)?,
            Rows::Text { line_separator } => {
                if let Some(column) = batch.columns().first().filter(|column| !column.is_null(row)) {
                    lines.push_str(column.as_string::<i32>().value(row));
                }
                lines.push_str(line_separator);
            }
            Rows::Parquet => {}
        }
        Ok(())
    }
}

impl Codec {
    pub(super) fn of_parquet(self) -> Compression {
        match self {
            Codec::Snappy => Compression::SNAPPY,
            Codec::None | Codec::Gzip | Codec::Deflate => Compression::UNCOMPRESSED,
        }
    }
}

fn codec(options: &Options, is_parquet: bool) -> Result<Codec, FileSinkError> {
    let Some(name) = options.get("compression") else {
        return Ok(if is_parquet { Codec::Snappy } else { Codec::None });
    };
    match (name.to_lowercase().as_str(), is_parquet) {
        ("none" | "uncompressed", _) => Ok(Codec::None),
        ("snappy", true) => Ok(Codec::Snappy),
        ("gzip", false) => Ok(Codec::Gzip),
        ("deflate", false) => Ok(Codec::Deflate),
        (_, true) => {
            Err(FileSinkError::Codec { codec: name.to_owned(), available: "uncompressed, snappy, none" })
        }
        (_, false) => Err(FileSinkError::Codec {
            codec: name.to_owned(),
            available: "deflate, uncompressed, none, gzip",
        }),
    }
}

fn check_text(schema: &Schema) -> Result<(), FileSinkError> {
    let is_text =
        |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    for field in schema.fields() {
        if !is_text(field.data_type()) {
            return Err(FileSinkError::UnsupportedType {
                source_name: "Text",
                column: field.name().clone(),
                data_type: type_name::sql(field.data_type()),
            });
        }
    }
    match schema.fields().len() {
        1 => Ok(()),
        columns => Err(FileSinkError::TextColumns(columns)),
    }
}
