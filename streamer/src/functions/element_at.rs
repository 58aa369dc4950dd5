//! An element of an array or a map: `array[0]`, `get`, `element_at`, `try_element_at`.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, UInt64Array, make_comparator,
};
use datafusion::arrow::compute::{SortOptions, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::schema::sql_type;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// `array[i]`, which counts from 0.
    Subscript,
    /// The same, and null where there is nothing.
    Get,
    /// Counts from 1, or from the end.
    ElementAt,
    TryElementAt,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ElementAt {
    kind: Kind,
    /// Whether an element that is not there is an error.
    ansi: bool,
    signature: Signature,
}

pub(super) fn all(ansi: bool) -> impl Iterator<Item = ScalarUDF> {
    let kinds = [Kind::Subscript, Kind::Get, Kind::ElementAt, Kind::TryElementAt];
    kinds.into_iter().map(move |kind| ScalarUDF::from(ElementAt::new(kind, ansi)))
}

/// What `array[i]` is planned as.
pub(super) const SUBSCRIPT: &str = "array_subscript";

impl ElementAt {
    fn new(kind: Kind, ansi: bool) -> ElementAt {
        let ansi = ansi && matches!(kind, Kind::Subscript | Kind::ElementAt);
        ElementAt { kind, ansi, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ElementAt {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Subscript => SUBSCRIPT,
            Kind::Get => "get",
            Kind::ElementAt => "element_at",
            Kind::TryElementAt => "try_element_at",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list @ DataType::List(_), index] if index.is_integer() => {
                Ok(vec![list.clone(), DataType::Int64])
            }
            [map @ DataType::Map(entries, _), _]
                if matches!(self.kind, Kind::ElementAt | Kind::TryElementAt) =>
            {
                Ok(vec![map.clone(), entry_type(entries.data_type(), 0)?])
            }
            _ => {
                let types: Vec<_> = types.iter().map(sql_type).collect();
                plan_err!(
                    "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] Cannot resolve \"{}\" due to data type mismatch: it takes an \
                     array and a whole number, or a map and a key, not (\"{}\"). SQLSTATE: 42K09",
                    self.name(),
                    types.join("\", \"")
                )
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(element), _] => Ok(element.data_type().clone()),
            [DataType::Map(entries, _), _] => entry_type(entries.data_type(), 1),
            _ => internal_err!("{} is of an array or a map", self.name()),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|argument| argument.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let [values, keys] = arrays.as_slice() else {
            return internal_err!("{} takes two arguments", self.name());
        };
        let found = match values.data_type() {
            DataType::List(_) => self.of_lists(values.as_list(), keys.as_primitive::<Int64Type>())?,
            _ => of_maps(values.as_map(), keys)?,
        };
        Ok(ColumnarValue::Array(found))
    }
}

impl ElementAt {
    fn of_lists(&self, lists: &ListArray, indexes: &Int64Array) -> Result<ArrayRef> {
        let mut places = Vec::with_capacity(lists.len());
        for (row, index) in indexes.iter().enumerate() {
            let place = match index.filter(|_| lists.is_valid(row)) {
                Some(index) => self.place(index, i64::from(lists.value_length(row)))?,
                None => None,
            };
            let first = lists.value_offsets().get(row).copied().unwrap_or_default();
            places.push(place.and_then(|place| u64::try_from(i64::from(first) + place).ok()));
        }
        Ok(take(lists.values(), &UInt64Array::from(places), None)?)
    }

    /// Where the element stands, from 0.
    fn place(&self, index: i64, length: i64) -> Result<Option<i64>> {
        let place = match self.kind {
            Kind::Subscript | Kind::Get => index,
            Kind::ElementAt | Kind::TryElementAt if index == 0 => {
                return exec_err!(
                    "[INVALID_INDEX_OF_ZERO] The index 0 is invalid. An index shall be either < 0 or > 0 (the first element \
                     has index 1). SQLSTATE: 22003"
                );
            }
            Kind::ElementAt | Kind::TryElementAt if index > 0 => index - 1,
            Kind::ElementAt | Kind::TryElementAt => length.saturating_add(index),
        };
        if (0..length).contains(&place) {
            return Ok(Some(place));
        }
        match (self.ansi, self.kind) {
            (false, _) => Ok(None),
            (true, Kind::ElementAt) => exec_err!(
                "[INVALID_ARRAY_INDEX_IN_ELEMENT_AT] The index {index} is out of bounds. The array has {length} elements. Use \
                 `try_element_at` to tolerate accessing element at invalid index and return NULL instead. SQLSTATE: 22003"
            ),
            (true, _) => exec_err!(
                "[INVALID_ARRAY_INDEX] The index {index} is out of bounds. The array has {length} elements. Use the SQL \
                 function `get()` to tolerate accessing element at invalid index and return NULL instead. SQLSTATE: 22003"
            ),
        }
    }
}

fn of_maps(maps: &MapArray, keys: &ArrayRef) -> Result<ArrayRef> {
    let same = make_comparator(maps.keys(), keys, SortOptions::default())?;
    let mut places = Vec::with_capacity(maps.len());
    for row in 0..maps.len() {
        let bounds = |place: usize| maps.value_offsets().get(place).copied().unwrap_or_default() as usize;
        let mut entries = bounds(row)..bounds(row + 1);
        let place = entries.find(|entry| same(*entry, row).is_eq());
        places.push(place.filter(|_| maps.is_valid(row) && keys.is_valid(row)).map(|place| place as u64));
    }
    Ok(take(maps.values(), &UInt64Array::from(places), None)?)
}

/// Of the key, at 0, or of the value, at 1.
fn entry_type(entries: &DataType, place: usize) -> Result<DataType> {
    match entries {
        DataType::Struct(fields) if fields.len() > place => Ok(fields[place].data_type().clone()),
        other => internal_err!("a map of {other}"),
    }
}

/// `array[i]` as a call.
pub(super) fn subscript(ansi: bool) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ElementAt::new(Kind::Subscript, ansi)))
}
