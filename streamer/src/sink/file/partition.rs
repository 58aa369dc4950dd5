//! Hive's folders `column=value` for the columns of `partitionBy`. Spark's `ExternalCatalogUtils`.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::error::FileSinkError;
use crate::format::text::TextFormat;

/// The folder of null and of the empty text.
const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Which columns name folders, and which are in the files.
#[derive(Clone, Debug)]
pub(super) struct Partitioning {
    folders: Vec<(String, usize)>,
    data: Vec<usize>,
    pub(super) data_schema: SchemaRef,
}

impl Partitioning {
    pub(super) fn new(schema: &Schema, columns: &[String]) -> Result<Partitioning, FileSinkError> {
        let mut folders = Vec::new();
        for column in columns {
            let is_named = |name: &str| name.eq_ignore_ascii_case(column);
            let Some(index) = schema.fields().iter().position(|field| is_named(field.name())) else {
                let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                return Err(FileSinkError::PartitionColumn { name: column.clone(), known: known.join(", ") });
            };
            folders.push((escape(schema.field(index).name()), index));
        }
        let is_data = |index: &usize| !folders.iter().any(|(_, folder)| folder == index);
        let data: Vec<usize> = (0..schema.fields().len()).filter(is_data).collect();
        let fields: Vec<_> = data.iter().map(|index| schema.field(*index).clone()).collect();
        Ok(Partitioning { folders, data, data_schema: Schema::new(fields).into() })
    }

    pub(super) fn is_partitioned(&self) -> bool {
        !self.folders.is_empty()
    }

    /// The columns that are in the files, under their names there.
    pub(super) fn data(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = self.data.iter().map(|index| batch.column(*index).clone()).collect();
        let rows = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        // Whether a column may be null is the plan's claim; a file takes both.
        RecordBatch::try_new_with_options(self.data_schema.clone(), columns, &rows)
    }

    /// Writes the folder of a row, such as `a=1/b=x%2Fy`, over `folder`.
    pub(super) fn folder(
        &self,
        folder: &mut String,
        format: &TextFormat,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<(), ArrowError> {
        folder.clear();
        let mut value = String::new();
        for (name, index) in &self.folders {
            if !folder.is_empty() {
                folder.push('/');
            }
            folder.push_str(name);
            folder.push('=');
            let column = batch.column(*index);
            value.clear();
            if !column.is_null(row) {
                format.write(&mut value, column.as_ref(), row)?;
            }
            folder.push_str(&if value.is_empty() { DEFAULT_PARTITION.to_owned() } else { escape(&value) });
        }
        Ok(())
    }
}

/// `%XX` for what a folder's name cannot have on some system.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_special(character) {
            escaped.push_str(&format!("%{:02X}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn is_special(character: char) -> bool {
    match character {
        '\u{1}'..='\u{1f}' | '\u{7f}' => true,
        '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^' => true,
        ' ' | '<' | '>' | '|' => cfg!(windows),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(windows))]
    fn names_are_escaped_as_spark_escapes_them() {
        // The folder that PySpark 4.1.1 made of this text.
        let text = "a b/c:d=e%f?\"'*#{[]}\\^é\u{1}\n";
        assert_eq!(escape(text), "a b%2Fc%3Ad%3De%25f%3F%22%27%2A%23%7B%5B%5D}%5C%5Eé%01%0A");
    }
}
