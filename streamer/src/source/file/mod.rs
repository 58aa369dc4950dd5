//! `csv`, `json`, `parquet` and `text`: the files of a folder, new ones as they come. Spark's `FileStreamSource`.
//!
//! A file must appear whole, such as by being renamed into the folder. Which files each batch is stands in the
//! checkpoint's `sources/<i>` ([`log`]), in Spark's bytes, so that a batch that runs again reads the same ones.

mod batch;
mod clean;
mod csv;
mod csv_inference;
mod csv_record;
mod error;
mod format;
mod inference;
mod json;
mod lines;
mod listing;
mod log;
mod options;
mod parquet;
mod partitions;
mod pattern;
mod seen;
mod stream;
mod table;
mod text;
mod text_columns;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

pub use error::FileSourceError;
pub(super) use table::FileTable;

use super::formats::Declared;
use super::{Source, SourceContext, SourceDefinition, SourceError};
use format::FileFormat;
use listing::FoundFile;
use log::SourceLog;
use options::FileOptions;
use stream::FileStream;

#[derive(Clone, Debug)]
pub(super) struct FileDefinition {
    options: FileOptions,
    format: FileFormat,
    schema: SchemaRef,
    /// The last ones of the schema.
    partition_columns: Vec<String>,
}

impl FileDefinition {
    /// `format` is one of this folder's. The columns that folders `column=value` name now come last.
    pub(super) fn new(format: &'static str, declared: &Declared<'_>) -> Result<FileDefinition, SourceError> {
        FileDefinition::with_schema(format, declared, |_, _| Err(FileSourceError::NoSchema))
    }

    /// `otherwise` finds the columns where none are declared.
    fn with_schema(
        format: &'static str,
        declared: &Declared<'_>,
        otherwise: impl FnOnce(&FileFormat, &[FoundFile]) -> Result<Fields, FileSourceError>,
    ) -> Result<FileDefinition, SourceError> {
        let mut options = FileOptions::new(declared.options)?;
        options.only_committed = declared.is_written_by_job;
        let file_format = FileFormat::new(format, declared.options, declared.time_zone)?;
        if !listing::exists(&options) && !declared.is_written_by_job {
            return Err(FileSourceError::PathNotFound { path: options.path }.into());
        }
        let files = listing::list(&options)?;
        let fields = match (&declared.schema, format) {
            (Some(schema), _) => schema.fields().clone(),
            (None, "text") => Fields::from(vec![Field::new("value", DataType::Utf8, true)]),
            (None, _) => otherwise(&file_format, &files)?,
        };
        let found: Vec<_> = files.into_iter().map(|file| file.partitions).collect();
        let (data, of_folders) = split(&fields, partitions::fields(&found));
        let format = file_format;
        format.check(&data)?;
        let partition_columns = of_folders.iter().map(|field| field.name().clone()).collect();
        let schema = Arc::new(Schema::new(data.iter().cloned().chain(of_folders).collect::<Fields>()));
        Ok(FileDefinition { options, format, schema, partition_columns })
    }
}

/// The columns of the files, and those of their folders: under the user's type, where there is one.
fn split(fields: &Fields, found: Vec<Field>) -> (Fields, Vec<FieldRef>) {
    let is = |field: &FieldRef, found: &Field| field.name().eq_ignore_ascii_case(found.name());
    let data = fields.iter().filter(|field| !found.iter().any(|found| is(field, found))).cloned().collect();
    let of_folders = found.into_iter().map(|found| {
        let declared = fields.iter().find(|field| is(field, &found)).cloned();
        declared.unwrap_or_else(|| Arc::new(found))
    });
    (data, of_folders.collect())
}

#[async_trait]
impl SourceDefinition for FileDefinition {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let log = SourceLog::new(context.folder.clone());
        Ok(Box::new(FileStream::open(self.clone(), log)?))
    }
}
