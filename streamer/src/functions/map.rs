//! `map(key, value, …)`: Spark's `CreateMap`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, MapArray, StructArray, UInt64Array, make_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::kernels::cmp::not_distinct;
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::schema::{map_of, sql_type};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SparkMap {
    signature: Signature,
}

impl SparkMap {
    pub(super) fn new() -> SparkMap {
        SparkMap { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SparkMap {
    fn name(&self) -> &str {
        "map"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.is_empty() || types.len() % 2 == 1 {
            return plan_err!(
                "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `map` requires 2n (n > 0) parameters but the actual number is \
                 {}. SQLSTATE: 42605",
                types.len()
            );
        }
        let key = common_type(types.iter().step_by(2))?;
        let value = common_type(types.iter().skip(1).step_by(2))?;
        Ok((0..types.len()).map(|place| if place % 2 == 0 { key.clone() } else { value.clone() }).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [key, value, ..] => Ok(map_of(key.clone(), value.clone(), true)),
            _ => internal_err!("map has arguments"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|argument| argument.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let keys: Vec<&dyn Array> = arrays.iter().step_by(2).map(AsRef::as_ref).collect();
        let values: Vec<&dyn Array> = arrays.iter().skip(1).step_by(2).map(AsRef::as_ref).collect();
        if keys.iter().any(|keys| keys.null_count() > 0) {
            return exec_err!("[NULL_MAP_KEY] Cannot use null as map key. SQLSTATE: 2200E");
        }
        refuse_repeated(&keys, rows)?;
        let (entries, fields) = entries(arguments.return_field.data_type())?;
        let columns = vec![by_row(&keys, rows)?, by_row(&values, rows)?];
        let offsets = OffsetBuffer::from_repeated_length(keys.len(), rows);
        let pairs = StructArray::try_new(fields, columns, None)?;
        Ok(ColumnarValue::Array(Arc::new(MapArray::try_new(entries, offsets, pairs, None, false)?)))
    }
}

fn refuse_repeated(keys: &[&dyn Array], rows: usize) -> Result<()> {
    for (place, key) in keys.iter().enumerate() {
        for other in keys.iter().take(place) {
            let equal = not_distinct(&make_array(key.to_data()), &make_array(other.to_data()))?;
            if let Some(row) = (0..rows).find(|row| equal.value(*row)) {
                let key = ScalarValue::try_from_array(*key, row)?;
                return exec_err!(
                    "[DUPLICATED_MAP_KEY] Duplicate map key {key} was found, please check the input data. SQLSTATE: 23505"
                );
            }
        }
    }
    Ok(())
}

fn entries(map: &DataType) -> Result<(FieldRef, Fields)> {
    match map {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => Ok((Arc::<Field>::clone(entries), fields.clone())),
            _ => internal_err!("the entries of a map are a struct"),
        },
        _ => internal_err!("map makes a map"),
    }
}

fn common_type<'a>(mut types: impl Iterator<Item = &'a DataType>) -> Result<DataType> {
    let first = types.next().cloned().unwrap_or(DataType::Null);
    types.try_fold(first, |known, next| match comparison_coercion(&known, next) {
        _ if known == *next => Ok(known),
        Some(common) => Ok(common),
        None => plan_err!(
            "[DATATYPE_MISMATCH.CREATE_MAP_VALUE_DIFF_TYPES] The values of function `map` should all be the same type, \
             but they're \"{}\" and \"{}\". SQLSTATE: 42K09",
            sql_type(&known),
            sql_type(next)
        ),
    })
}

/// The first row of each array, then the second of each, and so on.
fn by_row(arrays: &[&dyn Array], rows: usize) -> Result<ArrayRef> {
    let joined = concat(arrays)?;
    let places = (0..rows).flat_map(|row| (0..arrays.len()).map(move |array| (array * rows + row) as u64));
    Ok(take(&joined, &UInt64Array::from_iter_values(places), None)?)
}
