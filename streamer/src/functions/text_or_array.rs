//! `concat` and `reverse`, which Spark has for texts and for arrays under one name, and DataFusion under two.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::schema::sql_type;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextOrArray {
    text: Arc<ScalarUDF>,
    array: Arc<ScalarUDF>,
    signature: Signature,
}

impl TextOrArray {
    /// Is called as the function of texts.
    pub(super) fn new(text: Arc<ScalarUDF>, array: Arc<ScalarUDF>) -> TextOrArray {
        TextOrArray { text, array, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn of(&self, types: &[DataType]) -> &ScalarUDF {
        if types.iter().any(is_array) { &self.array } else { &self.text }
    }
}

fn is_array(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_))
}

impl ScalarUDFImpl for TextOrArray {
    fn name(&self) -> &str {
        self.text.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !types.iter().any(is_array) {
            return Ok(vec![DataType::Utf8; types.len()]);
        }
        let arrays = types.iter().filter(|data_type| !data_type.is_null()).cloned().map(Some);
        let common = arrays.reduce(|known, next| match (known, next) {
            (Some(known), Some(next)) if known == next => Some(known),
            (Some(known), Some(next)) if is_array(&known) && is_array(&next) => {
                comparison_coercion(&known, &next)
            }
            _ => None,
        });
        match common.flatten() {
            Some(common) => Ok(vec![common; types.len()]),
            None => {
                let types: Vec<_> = types.iter().map(sql_type).collect();
                plan_err!(
                    "[DATATYPE_MISMATCH.DATA_DIFF_TYPES] Cannot resolve \"{}\" due to data type mismatch: Input to `{}` should \
                     all be the same type, but it's (\"{}\"). SQLSTATE: 42K09",
                    self.name(),
                    self.name(),
                    types.join("\" or \"")
                )
            }
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(array) if is_array(array) => Ok(array.clone()),
            _ => Ok(DataType::Utf8),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let return_type = arguments.return_field.data_type().clone();
        let made = self.of(&types).inner().invoke_with_args(arguments)?;
        // Elements are called otherwise there.
        made.cast_to(&return_type, None)
    }
}
