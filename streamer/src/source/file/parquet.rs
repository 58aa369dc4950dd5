//! Files of Parquet, their columns by name. Spark's `ParquetFileFormat`.

use std::fs::File;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::Fields;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::errors::ParquetError;

use super::error::FileSourceError;
use super::format::{self, FileColumns, MAX_ROWS, Rows};

pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    wanted: Fields,
}

impl ParquetRows {
    /// A column that the file lacks is null. Names are found in any case.
    pub(super) fn open(file: File, path: &Path, columns: &FileColumns) -> Result<Rows, FileSourceError> {
        let failed = |source: ParquetError| FileSourceError::Parquet { path: path.to_owned(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let is_wanted =
            |name: &str| columns.wanted.iter().any(|field| field.name().eq_ignore_ascii_case(name));
        let fields = builder.schema().fields().iter().enumerate();
        let places = fields.filter(|(_, field)| is_wanted(field.name())).map(|(place, _)| place);
        let mask = ProjectionMask::roots(builder.parquet_schema(), places.collect::<Vec<_>>());
        let reader = builder.with_projection(mask).with_batch_size(MAX_ROWS).build().map_err(failed)?;
        Ok(Box::new(ParquetRows { reader, path: path.to_owned(), wanted: columns.wanted.clone() }))
    }

    fn adapted(&self, rows: &RecordBatch) -> Result<RecordBatch, FileSourceError> {
        let schema = rows.schema();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.wanted.len());
        for field in &self.wanted {
            let found =
                schema.fields().iter().position(|found| found.name().eq_ignore_ascii_case(field.name()));
            columns.push(match found {
                None => new_null_array(field.data_type(), rows.num_rows()),
                // A value that the wanted type cannot hold is an error, not null.
                Some(place) => {
                    let options = CastOptions { safe: false, ..CastOptions::default() };
                    cast_with_options(rows.column(place), field.data_type(), &options)
                        .map_err(|source| FileSourceError::Values { path: self.path.clone(), source })?
                }
            });
        }
        format::batch(&self.wanted, columns, rows.num_rows(), &self.path)
    }
}

impl Iterator for ParquetRows {
    type Item = Result<RecordBatch, FileSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = match self.reader.next()? {
            Ok(rows) => rows,
            Err(source) => return Some(Err(FileSourceError::Values { path: self.path.clone(), source })),
        };
        Some(self.adapted(&rows))
    }
}
