//! Columns as bytes and back: Arrow's row format, whose bytes sort as the values do, nulls first.

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::FieldRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, Rows, SortField};

use super::StateColumn;

/// Some columns of a schema, in an order of their own.
#[derive(Debug)]
pub struct RowFormat {
    columns: Vec<usize>,
    fields: Vec<FieldRef>,
    converter: RowConverter,
}

impl RowFormat {
    /// `columns` are places in a schema, with their fields.
    pub fn new(columns: Vec<(usize, FieldRef)>) -> Result<RowFormat, ArrowError> {
        let sort = columns.iter().map(|(_, field)| SortField::new(field.data_type().clone())).collect();
        let (columns, fields) = columns.into_iter().unzip();
        Ok(RowFormat { columns, fields, converter: RowConverter::new(sort)? })
    }

    /// The columns of both, whose rows are the rows of the one followed by those of the other.
    pub fn concat(first: &RowFormat, second: &RowFormat) -> Result<RowFormat, ArrowError> {
        let columns = |format: &RowFormat| {
            format.columns.iter().copied().zip(format.fields.iter().cloned()).collect::<Vec<_>>()
        };
        RowFormat::new([columns(first), columns(second)].concat())
    }

    pub fn describe(&self) -> Vec<StateColumn> {
        let column = |field: &FieldRef| StateColumn {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        };
        self.fields.iter().map(column).collect()
    }

    /// Without columns each row is empty.
    pub fn encode(&self, batch: &RecordBatch) -> Result<EncodedRows, ArrowError> {
        if self.columns.is_empty() {
            return Ok(EncodedRows { rows: None, count: batch.num_rows() });
        }
        let columns: Vec<_> =
            self.columns.iter().filter_map(|column| batch.columns().get(*column).cloned()).collect();
        Ok(EncodedRows { rows: Some(self.converter.convert_columns(&columns)?), count: batch.num_rows() })
    }

    /// The arrays of one row each, as the bound of a range.
    pub fn encode_columns(&self, columns: &[ArrayRef]) -> Result<Vec<u8>, ArrowError> {
        let rows = self.converter.convert_columns(columns)?;
        Ok(if rows.num_rows() == 0 { Vec::new() } else { rows.row(0).as_ref().to_vec() })
    }

    /// The columns in this format's order.
    pub fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.columns.is_empty() {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        self.converter.convert_rows(rows.map(|row| parser.parse(row)))
    }

    /// Where the columns stand in the schema.
    pub fn places(&self) -> &[usize] {
        &self.columns
    }
}

#[derive(Debug)]
pub struct EncodedRows {
    rows: Option<Rows>,
    count: usize,
}

impl EncodedRows {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn get(&self, row: usize) -> &[u8] {
        match &self.rows {
            Some(rows) if row < self.count => rows.row(row).data(),
            _ => &[],
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|row| self.get(row))
    }
}
