//! The columns that files have by themselves, for tables that declare none. Spark's schema inference.

use datafusion::arrow::datatypes::Fields;

use super::error::FileSourceError;
use super::format::FileFormat;
use super::listing::FoundFile;
use super::parquet;

/// `infers_types` is about CSV, whose values are text otherwise.
pub(super) fn columns(
    format: &FileFormat,
    files: &[FoundFile],
    infers_types: bool,
    time_zone: &str,
) -> Result<Fields, FileSourceError> {
    let paths = files.iter().map(|file| file.path.as_path());
    let (name, found) = match format {
        FileFormat::Csv(csv) => ("CSV", csv.infer(paths, infers_types)?),
        FileFormat::Json(json) => ("JSON", json.infer(paths)?),
        FileFormat::Parquet => ("Parquet", parquet::columns(paths, time_zone)?),
        // Its one column is known.
        FileFormat::Text { .. } => ("Text", Fields::empty()),
    };
    if found.is_empty() {
        return Err(FileSourceError::NothingToInfer { format: name });
    }
    Ok(found)
}
