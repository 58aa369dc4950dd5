//! Lists, maps and structs, whose parts are cast each for itself.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

use super::Context;

impl Context {
    pub(super) fn nested_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        match target {
            DataType::List(element) => {
                let lists = values.as_list::<i32>();
                let elements = self.cast(lists.values(), element.data_type())?;
                let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
                Ok(Arc::new(ListArray::try_new(element.clone(), offsets, elements, nulls)?))
            }
            // Fields go by their places.
            DataType::Struct(fields) => {
                let values = values.as_struct();
                let parts = values.columns().iter().zip(fields);
                let parts = parts.map(|(part, field)| self.cast(part, field.data_type()));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                let nulls = values.nulls().cloned();
                Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), parts, nulls, values.len())?))
            }
            DataType::Map(entries, sorted) => {
                let maps = values.as_map();
                let pairs: ArrayRef = Arc::new(maps.entries().clone());
                let pairs = self.cast(&pairs, entries.data_type())?;
                let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
                let pairs = pairs.as_struct().clone();
                Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?))
            }
            other => internal_err!("{other} has no parts"),
        }
    }
}
