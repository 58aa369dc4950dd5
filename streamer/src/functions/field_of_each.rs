//! `array.field` of an array of structs: the field of each. Spark's `GetArrayStructFields`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, ListArray, make_array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::schema::list_of;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FieldOfEach {
    field: String,
    signature: Signature,
}

impl FieldOfEach {
    /// `field` as the structs spell it.
    pub(super) fn new(field: &str) -> FieldOfEach {
        FieldOfEach { field: field.to_owned(), signature: Signature::any(1, Volatility::Immutable) }
    }

    fn field_in(&self, array: &DataType) -> Option<Arc<Field>> {
        let DataType::List(element) = array else {
            return None;
        };
        let DataType::Struct(fields) = element.data_type() else {
            return None;
        };
        fields.iter().find(|field| *field.name() == self.field).cloned()
    }
}

impl ScalarUDFImpl for FieldOfEach {
    fn name(&self) -> &str {
        "field_of_each"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.first().and_then(|array| self.field_in(array)) {
            Some(field) => Ok(list_of(field.data_type().clone(), true)),
            None => internal_err!("{} is not in the structs of {arguments:?}", self.field),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(array) = values.first().and_then(|array| array.as_list_opt::<i32>()) else {
            return internal_err!("{} takes an array", self.name());
        };
        let structs = array.values().as_struct();
        let Some(column) = structs.column_by_name(&self.field) else {
            return internal_err!("{} is not in the structs", self.field);
        };
        // A struct that is null has no field.
        let nulls = NullBuffer::union(structs.nulls(), column.nulls());
        let column = make_array(column.to_data().into_builder().nulls(nulls).build()?);
        let DataType::List(element) = list_of(column.data_type().clone(), true) else {
            return internal_err!("a list of fields");
        };
        let fields = ListArray::try_new(element, array.offsets().clone(), column, array.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(fields)))
    }
}
