//! Objects, of whose members only those that the schema has are read.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, NullBufferBuilder, StructArray};
use datafusion::arrow::datatypes::Fields;
use datafusion::error::Result;

use super::array_column::skip_other;
use super::column::{Column, Fit};
use super::options::JsonOptions;
use super::scanner::{Malformed, Scanner};
use super::string::RawString;

/// Up to this many fields are compared one by one.
const FEW: usize = 12;
/// Values that are read a second time in one object; text that makes more of that is taken for broken.
const MAX_REREADS: usize = 100;

#[derive(Debug)]
pub(super) struct StructColumn {
    names: Vec<Box<str>>,
    columns: Vec<Column>,
    fields: Fields,
    /// For more than [`FEW`] fields.
    places: HashMap<Box<str>, usize>,
    nulls: NullBufferBuilder,
    scratch: String,
}

impl StructColumn {
    pub(super) fn new(fields: &Fields, options: &JsonOptions) -> Result<StructColumn> {
        let names: Vec<Box<str>> = fields.iter().map(|field| field.name().as_str().into()).collect();
        let columns = fields.iter().map(|field| Column::new(field.data_type(), options));
        let places = match names.len() > FEW {
            true => names.iter().cloned().zip(0..).collect(),
            false => HashMap::new(),
        };
        Ok(StructColumn {
            columns: columns.collect::<Result<_>>()?,
            names,
            fields: fields.clone(),
            places,
            nulls: NullBufferBuilder::new(0),
            scratch: String::new(),
        })
    }

    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        if scanner.peek()? != b'{' {
            let fit = skip_other(scanner)?;
            self.push_null();
            return Ok(fit);
        }
        let row = self.nulls.len();
        let mut fit = Fit::Good;
        let mut rereads = 0;
        scanner.members(|scanner, name| {
            let Some(place) = self.find(name)? else {
                return scanner.skip();
            };
            let column = self.columns.get_mut(place).ok_or(Malformed)?;
            if column.len() == row {
                fit = fit.with_part(column.read(scanner)?);
                return Ok(());
            }
            rereads += 1;
            if rereads > MAX_REREADS {
                return Err(Malformed);
            }
            fit = fit.with_part(replace(column, scanner, row)?);
            Ok(())
        })?;
        for column in &mut self.columns {
            if column.len() == row {
                column.push_null();
            }
        }
        self.nulls.append_non_null();
        Ok(fit)
    }

    #[inline]
    fn find(&mut self, name: RawString<'_>) -> Result<Option<usize>, Malformed> {
        if !name.is_escaped {
            return Ok(self.place_of(name.text));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let place = name.with(&mut scratch, |name| self.place_of(name));
        self.scratch = scratch;
        place
    }

    #[inline]
    fn place_of(&self, name: &str) -> Option<usize> {
        // Of fields with one name the last is filled.
        if self.places.is_empty() {
            return self.names.iter().rposition(|other| **other == *name);
        }
        self.places.get(name).copied()
    }

    /// An object without members.
    pub(super) fn push_empty(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.nulls.append_non_null();
    }

    pub(super) fn push_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.nulls.append_null();
    }

    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        for column in &mut self.columns {
            column.truncate(len);
        }
        self.nulls.truncate(len);
    }

    pub(super) fn finish(self) -> Result<ArrayRef> {
        let len = self.nulls.len();
        let mut nulls = self.nulls;
        let columns = self.columns.into_iter().map(Column::finish).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(self.fields, columns, nulls.finish(), len)?))
    }
}

/// A member that is there again: the last that fits counts.
fn replace(column: &mut Column, scanner: &mut Scanner<'_>, row: usize) -> Result<Fit, Malformed> {
    let place = scanner.place();
    let fit = column.read(scanner)?;
    if fit == Fit::Bad {
        column.truncate(row + 1);
        return Ok(fit);
    }
    scanner.return_to(place);
    column.truncate(row);
    column.read(scanner)
}
