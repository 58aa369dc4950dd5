//! Files of Parquet, their columns by name. Spark's `ParquetFileFormat`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::errors::ParquetError;

use super::error::FileSourceError;
use super::format::{self, FileColumns, MAX_ROWS, Rows};
use crate::schema::{catalog_type, sql_type};

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
            if let Some(actual) = found.and_then(|place| schema.fields().get(place))
                && !is_readable(actual.data_type(), field.data_type())
            {
                return Err(FileSourceError::ParquetType {
                    path: self.path.clone(),
                    column: field.name().clone(),
                    expected: catalog_type(field.data_type()),
                    actual: sql_type(actual.data_type()),
                });
            }
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

/// Whether Spark reads a column of the one type as the other: where no value can be lost.
fn is_readable(actual: &DataType, wanted: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal128, FixedSizeBinary, Float32, Float64, LargeBinary, LargeUtf8,
        List, Map, Struct, Timestamp, Utf8, Utf8View,
    };
    match (actual, wanted) {
        (actual, wanted) if actual.is_integer() && wanted.is_integer() => {
            actual.primitive_width() <= wanted.primitive_width()
        }
        (actual, Float64) if actual.is_integer() => actual.primitive_width() < Some(8),
        (Float32, Float64) | (Date32, Timestamp(_, None)) | (Timestamp(..), Timestamp(..)) => true,
        (Decimal128(precision, scale), Decimal128(wider, wider_scale)) => {
            wider_scale >= scale
                && i16::from(*wider) - i16::from(*wider_scale) >= i16::from(*precision) - i16::from(*scale)
        }
        (actual, Decimal128(precision, scale)) if actual.is_integer() => {
            let digits = if actual.primitive_width() > Some(4) { 20 } else { 10 };
            i16::from(*precision) - i16::from(*scale) >= digits
        }
        (
            Utf8 | Utf8View | LargeUtf8 | Binary | BinaryView | LargeBinary | FixedSizeBinary(_),
            Utf8 | Binary,
        ) => true,
        (List(actual), List(wanted)) | (Map(actual, _), Map(wanted, _)) => {
            is_readable(actual.data_type(), wanted.data_type())
        }
        (Struct(actual), Struct(wanted)) => wanted.iter().all(|wanted| {
            let found = actual.iter().find(|actual| actual.name().eq_ignore_ascii_case(wanted.name()));
            found.is_none_or(|actual| is_readable(actual.data_type(), wanted.data_type()))
        }),
        (actual, wanted) => actual == wanted,
    }
}

/// The columns of the first file, with Spark's types.
pub(super) fn columns<'a>(
    mut paths: impl Iterator<Item = &'a Path>,
    time_zone: &str,
) -> Result<Fields, FileSourceError> {
    let Some(path) = paths.next() else {
        return Ok(Fields::empty());
    };
    let file = File::open(path).map_err(FileSourceError::io("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|source| FileSourceError::Parquet { path: path.to_owned(), source })?;
    let fields = builder.schema().fields().iter();
    Ok(fields.map(|field| Field::new(field.name(), spark_type(field.data_type(), time_zone), true)).collect())
}

/// The type under which Spark knows the values of an Arrow type.
fn spark_type(data_type: &DataType, time_zone: &str) -> DataType {
    let inner = |field: &FieldRef| {
        Arc::new(Field::new(field.name(), spark_type(field.data_type(), time_zone), field.is_nullable()))
    };
    match data_type {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        // INT96 comes without a zone, and is a point in time all the same.
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into()))
        }
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::List(element) | DataType::LargeList(element) | DataType::ListView(element) => {
            DataType::List(inner(element))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
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
