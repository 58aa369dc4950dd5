//! Arrow columns that grow by one JSON value at a time and can be cut back.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use super::array_column::{ListColumn, MapColumn};
use super::options::JsonOptions;
use super::scalar_column::ScalarColumn;
use super::scanner::{Malformed, Scanner};
use super::struct_column::StructColumn;
use super::text_column::TextColumn;
use crate::schema::sql_type;

/// How a JSON value fitted its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Good,
    /// Something within it did not fit and is null; the rest is there.
    Partial,
    /// It is null.
    Bad,
}

impl Fit {
    /// Of a whole with this part.
    pub(super) fn with_part(self, part: Fit) -> Fit {
        if part == Fit::Good { self } else { Fit::Partial }
    }
}

#[derive(Debug)]
pub(super) enum Column {
    Scalar(ScalarColumn),
    Text(TextColumn),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
    Struct(Box<StructColumn>),
}

impl Column {
    pub(super) fn new(data_type: &DataType, options: &JsonOptions) -> Result<Column> {
        Ok(match data_type {
            DataType::Utf8 => Column::Text(TextColumn::default()),
            DataType::List(element) => Column::List(Box::new(ListColumn::new(element, options)?)),
            DataType::Map(entries, _) => Column::Map(Box::new(MapColumn::new(entries, options)?)),
            DataType::Struct(fields) => Column::Struct(Box::new(StructColumn::new(fields, options)?)),
            scalar => Column::Scalar(ScalarColumn::new(scalar, options).ok_or_else(|| {
                let name = sql_type(scalar);
                DataFusionError::Plan(format!(
                    "[UNSUPPORTED_DATATYPE] Unsupported data type \"{name}\" in from_json. SQLSTATE: 0A000"
                ))
            })?),
        })
    }

    /// Adds the next value, or null where it does not fit. After an error, the column is to be cut back.
    #[inline]
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        match self {
            Column::Scalar(column) => column.read(scanner),
            Column::Text(column) => column.read(scanner),
            Column::List(column) => column.read(scanner),
            Column::Map(column) => column.read(scanner),
            Column::Struct(column) => column.read(scanner),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Column::Scalar(column) => column.len(),
            Column::Text(column) => column.len(),
            Column::List(column) => column.len(),
            Column::Map(column) => column.len(),
            Column::Struct(column) => column.len(),
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Column::Scalar(column) => column.push_null(),
            Column::Text(column) => column.push(None),
            Column::List(column) => column.push_null(),
            Column::Map(column) => column.push_null(),
            Column::Struct(column) => column.push_null(),
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Column::Scalar(column) => column.truncate(len),
            Column::Text(column) => column.truncate(len),
            Column::List(column) => column.truncate(len),
            Column::Map(column) => column.truncate(len),
            Column::Struct(column) => column.truncate(len),
        }
    }

    pub(super) fn finish(self) -> Result<ArrayRef> {
        match self {
            Column::Scalar(column) => Ok(column.finish()?),
            Column::Text(column) => Ok(column.finish()?),
            Column::List(column) => column.finish(),
            Column::Map(column) => column.finish(),
            Column::Struct(column) => column.finish(),
        }
    }
}

/// Arrow counts within lists and texts with 31 bits; whoever calls this remembers that it did not fit.
pub(super) fn offset(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
