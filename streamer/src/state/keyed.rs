//! A map from grouping key to state, both in Arrow's row format, in the order in which the keys came.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};

#[derive(Debug)]
pub(super) struct KeyedRows {
    schema: SchemaRef,
    keys: Columns,
    values: Columns,
    places: HashMap<Box<[u8]>, usize>,
    rows: Vec<StoredRow>,
}

#[derive(Debug)]
struct StoredRow {
    key: Box<[u8]>,
    value: Box<[u8]>,
}

/// The first or the second part of the schema's columns.
#[derive(Debug)]
struct Columns {
    from: usize,
    to: usize,
    converter: RowConverter,
}

impl KeyedRows {
    pub(super) fn new(schema: SchemaRef, keys: usize) -> Result<KeyedRows, ArrowError> {
        let keys_part = Columns::new(&schema, 0, keys)?;
        let values = Columns::new(&schema, keys, schema.fields().len())?;
        Ok(KeyedRows { schema, keys: keys_part, values, places: HashMap::new(), rows: Vec::new() })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.rows.iter().map(|row| 2 * row.key.len() + row.value.len() + 64).sum()
    }

    /// Adds rows, or replaces those of the same key.
    pub(super) fn put(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let keys = self.keys.encode(batch)?;
        let values = self.values.encode(batch)?;
        for (key, value) in keys.into_iter().zip(values) {
            match self.places.get(&key).and_then(|place| self.rows.get_mut(*place)) {
                Some(row) => row.value = value,
                None => {
                    self.places.insert(key.clone(), self.rows.len());
                    self.rows.push(StoredRow { key, value });
                }
            }
        }
        Ok(())
    }

    /// The rows of the keys in `batches`, each once.
    pub(super) fn lookup(&self, batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let mut places = Vec::new();
        for batch in batches {
            let keys = self.keys.encode(batch)?;
            places.extend(keys.iter().filter_map(|key| self.places.get(key).copied()));
        }
        places.sort_unstable();
        places.dedup();
        self.decode(places.iter().filter_map(|place| self.rows.get(*place)))
    }

    pub(super) fn all(&self) -> Result<RecordBatch, ArrowError> {
        self.decode(self.rows.iter())
    }

    fn decode<'a>(
        &self,
        rows: impl Iterator<Item = &'a StoredRow> + Clone,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns = self.keys.decode(rows.clone().map(|row| &row.key))?;
        columns.extend(self.values.decode(rows.clone().map(|row| &row.value))?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}

impl Columns {
    fn new(schema: &SchemaRef, from: usize, to: usize) -> Result<Columns, ArrowError> {
        let fields = schema.fields().iter().take(to).skip(from);
        let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Columns { from, to, converter: RowConverter::new(fields)? })
    }

    /// One byte string per row. Without columns, as the key of an aggregation over all rows, they are empty.
    fn encode(&self, batch: &RecordBatch) -> Result<Vec<Box<[u8]>>, ArrowError> {
        if self.from == self.to {
            return Ok(vec![Box::default(); batch.num_rows()]);
        }
        let columns = batch.columns().get(self.from..self.to).unwrap_or_default();
        let rows = self.converter.convert_columns(columns)?;
        Ok(rows.iter().map(|row| row.as_ref().into()).collect())
    }

    fn decode<'a>(&self, rows: impl Iterator<Item = &'a Box<[u8]>>) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.from == self.to {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(rows.map(|row| parser.parse(row)))?;
        Ok(columns.into_iter().map(|column| Arc::clone(&column)).collect())
    }
}
