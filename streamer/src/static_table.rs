//! Tables that are no streams: files that each batch reads anew. Spark's `DataFrameReader` for csv, json and parquet.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions};
use thiserror::Error;

use crate::options::{Options, OptionsError};
use crate::sql::TableDefinition;

#[derive(Debug, Error)]
pub enum StaticTableError {
    #[error(transparent)]
    Option(#[from] OptionsError),
    #[error("the table {table} cannot be read: {source}")]
    Files { table: String, source: DataFusionError },
    #[error("the table {table} is {format}, which is not read without STREAM; csv, json and parquet are")]
    Format { table: String, format: String },
    #[error("the option {key} of the table {table} is not served: {reason}")]
    NotServed { table: String, key: &'static str, reason: &'static str },
}

/// The files of a table. Their columns are looked up now, their rows whenever they are read.
pub(crate) async fn open(
    context: &SessionContext,
    table: &TableDefinition,
) -> Result<Arc<dyn TableProvider>, StaticTableError> {
    let format = table.format.as_deref().unwrap_or("parquet").to_lowercase();
    let failed = |source| StaticTableError::Files { table: table.name.clone(), source };
    let path =
        table.options.get("path").ok_or(OptionsError::Missing { key: "path", whom: "a table of files" });
    let frame = match format.as_str() {
        "csv" => csv(context, path?, table).await?,
        "json" => {
            let options = JsonReadOptions::default().file_extension("");
            context.read_json(path?, options).await.map_err(failed)?
        }
        "parquet" => {
            let options = ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
            context.read_parquet(path?, options).await.map_err(failed)?
        }
        _ => return Err(StaticTableError::Format { table: table.name.clone(), format }),
    };
    Ok(frame.into_view())
}

async fn csv(
    context: &SessionContext,
    path: &str,
    table: &TableDefinition,
) -> Result<DataFrame, StaticTableError> {
    let failed = |source| StaticTableError::Files { table: table.name.clone(), source };
    let (options, infers) = (&table.options, table.options.boolean("inferSchema", false)?);
    let mut read = csv_options(options, &table.name)?;
    let found = context.read_csv(path, read.clone()).await.map_err(failed)?;
    let columns = found.schema().fields().iter().enumerate();
    let fields = columns.map(|(place, field)| {
        let name = if read.has_header { field.name().clone() } else { format!("_c{place}") };
        let data_type = if infers { spark_type(field.data_type()) } else { DataType::Utf8 };
        Field::new(name, data_type, true)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    read.schema = Some(&schema);
    context.read_csv(path, read).await.map_err(failed)
}

/// Spark's options and defaults, in DataFusion's words.
fn csv_options(options: &Options, table: &str) -> Result<CsvReadOptions<'static>, StaticTableError> {
    let byte = |key: &'static str, default: char| -> Result<Option<u8>, StaticTableError> {
        let character = options.character(key)?.unwrap_or(Some(default));
        let not_ascii = StaticTableError::NotServed {
            table: table.to_owned(),
            key,
            reason: "only ASCII characters separate and quote",
        };
        character.map(|c| u8::try_from(c).ok().filter(u8::is_ascii).ok_or(not_ascii)).transpose()
    };
    if let Some(mode) = options.get("mode").filter(|mode| !mode.eq_ignore_ascii_case("permissive")) {
        tracing::warn!(
            "the option mode={mode} of the table {table} has no effect: broken rows fail the query"
        );
    }
    let separator = if options.get("sep").is_some() { "sep" } else { "delimiter" };
    let mut read = CsvReadOptions::new()
        .has_header(options.boolean("header", false)?)
        .delimiter(byte(separator, ',')?.unwrap_or(b','))
        .quote(byte("quote", '"')?.unwrap_or(0))
        .newlines_in_values(options.boolean("multiLine", false)?)
        .file_extension("");
    read.escape = byte("escape", '\\')?;
    read.comment = options.character("comment")?.flatten().and_then(|c| u8::try_from(c).ok());
    read.null_regex = options.get("nullValue").map(|null| format!("^({})?$", regex::escape(null)));
    Ok(read)
}

/// As Spark would have inferred it.
fn spark_type(inferred: &DataType) -> DataType {
    match inferred {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}
