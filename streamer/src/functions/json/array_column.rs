//! Lists and maps. One element that does not fit makes the whole null.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, MapArray, NullBufferBuilder, StructArray};
use datafusion::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};

use super::column::{Column, Fit, offset};
use super::options::JsonOptions;
use super::scanner::{Malformed, Scanner};
use super::text_column::TextColumn;

/// Where each list ends, and which are null.
#[derive(Debug)]
struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    too_long: bool,
}

impl Ends {
    fn new() -> Ends {
        Ends { offsets: vec![0], nulls: NullBufferBuilder::new(0), too_long: false }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn push(&mut self, end: usize, is_valid: bool) {
        self.too_long |= i32::try_from(end).is_err();
        self.offsets.push(offset(end));
        self.nulls.append(is_valid);
    }

    /// Returns how many elements are left.
    fn truncate(&mut self, len: usize) -> usize {
        self.offsets.truncate(len + 1);
        self.nulls.truncate(len);
        self.offsets.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
    }

    fn offsets(self) -> Result<(OffsetBuffer<i32>, NullBufferBuilder)> {
        if self.too_long {
            return Err(ArrowError::OffsetOverflowError(self.offsets.len()).into());
        }
        Ok((OffsetBuffer::new(ScalarBuffer::from(self.offsets)), self.nulls))
    }
}

#[derive(Debug)]
pub(super) struct ListColumn {
    element: FieldRef,
    elements: Column,
    ends: Ends,
}

impl ListColumn {
    pub(super) fn new(element: &FieldRef, options: &JsonOptions) -> Result<ListColumn> {
        let elements = Column::new(element.data_type(), options)?;
        Ok(ListColumn { element: element.clone(), elements, ends: Ends::new() })
    }

    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        if scanner.peek()? != b'[' {
            return self.read_other(scanner);
        }
        let start = self.elements.len();
        let mut fit = Fit::Good;
        scanner.elements(|scanner| {
            match self.elements.read(scanner)? {
                Fit::Bad => fit = Fit::Bad,
                Fit::Partial if fit == Fit::Good => fit = Fit::Partial,
                _ => {}
            }
            Ok(())
        })?;
        if fit == Fit::Bad {
            self.elements.truncate(start);
        }
        self.ends.push(self.elements.len(), fit != Fit::Bad);
        Ok(fit)
    }

    /// An object where a list of objects is wanted, which Spark takes at the top alone.
    pub(super) fn read_single(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        let is_object = matches!(self.elements, Column::Struct(_)) && scanner.peek()? == b'{';
        if !is_object {
            return self.read(scanner);
        }
        let fit = self.elements.read(scanner)?;
        self.ends.push(self.elements.len(), true);
        Ok(fit)
    }

    fn read_other(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        let fit = skip_other(scanner)?;
        self.push_null();
        Ok(fit)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push(self.elements.len(), false);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let elements = self.ends.truncate(len);
        self.elements.truncate(elements);
    }

    pub(super) fn finish(self) -> Result<ArrayRef> {
        let (offsets, mut nulls) = self.ends.offsets()?;
        Ok(Arc::new(ListArray::try_new(self.element, offsets, self.elements.finish()?, nulls.finish())?))
    }
}

#[derive(Debug)]
pub(super) struct MapColumn {
    entries: FieldRef,
    keys: TextColumn,
    values: Column,
    ends: Ends,
}

impl MapColumn {
    pub(super) fn new(entries: &FieldRef, options: &JsonOptions) -> Result<MapColumn> {
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(DataFusionError::Internal("the entries of a map are a struct".to_owned()));
        };
        let value = fields.get(1).map(|value| value.data_type()).unwrap_or(&DataType::Null);
        let values = Column::new(value, options)?;
        Ok(MapColumn { entries: entries.clone(), keys: TextColumn::default(), values, ends: Ends::new() })
    }

    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        if scanner.peek()? != b'{' {
            let fit = skip_other(scanner)?;
            self.push_null();
            return Ok(fit);
        }
        let start = self.values.len();
        let mut fit = Fit::Good;
        scanner.members(|scanner, name| {
            self.keys.push_string(name)?;
            match self.values.read(scanner)? {
                Fit::Bad => fit = Fit::Bad,
                Fit::Partial if fit == Fit::Good => fit = Fit::Partial,
                _ => {}
            }
            Ok(())
        })?;
        if fit == Fit::Bad {
            self.keys.truncate(start);
            self.values.truncate(start);
        }
        self.ends.push(self.values.len(), fit != Fit::Bad);
        Ok(fit)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push(self.values.len(), false);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let entries = self.ends.truncate(len);
        self.keys.truncate(entries);
        self.values.truncate(entries);
    }

    pub(super) fn finish(self) -> Result<ArrayRef> {
        let (offsets, mut nulls) = self.ends.offsets()?;
        let fields = match self.entries.data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        };
        let columns = vec![self.keys.finish()?, self.values.finish()?];
        let entries = StructArray::try_new(fields, columns, None)?;
        Ok(Arc::new(MapArray::try_new(self.entries, offsets, entries, nulls.finish(), false)?))
    }
}

/// Null fits every type, another value does not.
pub(super) fn skip_other(scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
    let fit = if scanner.is_at_null() { Fit::Good } else { Fit::Bad };
    scanner.skip()?;
    Ok(fit)
}
