//! `to_json(value[, options])`: Spark's `StructsToJson`.

use std::hash::{Hash, Hasher};

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::options::{self, GivenOptions};
use crate::datetime::pattern::TimePatterns;
use crate::format::json::JsonFormat;
use crate::schema::sql_type;

/// Rows of about so many bytes are expected.
const ROW_BYTES: usize = 64;

#[derive(Clone, Debug)]
pub(in crate::functions) struct ToJson {
    signature: Signature,
    /// The options as they were given, by which two of these are told apart.
    given: Vec<(String, String)>,
    time_zone: String,
    format: JsonFormat,
}

impl ToJson {
    /// `time_zone` is the name of `zone`.
    pub(in crate::functions) fn new(time_zone: &str, zone: Tz) -> ToJson {
        ToJson {
            signature: Signature::user_defined(Volatility::Immutable),
            given: Vec::new(),
            time_zone: time_zone.to_owned(),
            format: JsonFormat::new(zone),
        }
    }

    /// What is computed for a call, whose arguments are as they were written; `None` where they stay as they are.
    pub(in crate::functions) fn planned(&self, arguments: &[Expr], zone: Tz) -> Result<Option<Expr>> {
        let [value, map] = arguments else {
            return Ok(None);
        };
        let given = options::of_map(map)?;
        let planned = ToJson { format: format(&given, zone)?, given, ..self.clone() };
        let function = ScalarFunction::new_udf(ScalarUDF::from(planned).into(), vec![value.clone()]);
        Ok(Some(Expr::ScalarFunction(function)))
    }
}

fn format(given: &[(String, String)], zone: Tz) -> Result<JsonFormat> {
    let options = GivenOptions(given);
    for name in ["pretty", "writeNonAsciiCharacterAsCodePoint"] {
        if options.flag(name, false)? {
            return plan_err!("the option {name} of to_json is not served by Ottla yet; leave it out");
        }
    }
    let zone = options.zone()?.map_or(zone, |zone| zone.zone);
    let format = JsonFormat::new(zone).with_nulls(!options.flag("ignoreNullFields", true)?);
    Ok(format.with_patterns(TimePatterns::from_options(|name| options.get(name))?))
}

impl ScalarUDFImpl for ToJson {
    fn name(&self) -> &str {
        "to_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value] | [value, _] if value.is_nested() => Ok(types.to_vec()),
            [value] | [value, _] => plan_err!(
                "[DATATYPE_MISMATCH.INVALID_JSON_SCHEMA] Cannot resolve \"to_json\" due to data type mismatch: Input \
                 schema \"{}\" must be a struct, an array, a map or a variant. SQLSTATE: 42K09",
                sql_type(value)
            ),
            other => plan_err!(
                "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `to_json` requires [1, 2] parameters but the actual number is \
                 {}. SQLSTATE: 42605",
                other.len()
            ),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [values] = values.as_slice() else {
            return internal_err!("to_json has not been planned");
        };
        Ok(ColumnarValue::Array(self.write(values)?))
    }
}

impl ToJson {
    fn write(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let mut texts = StringBuilder::with_capacity(values.len(), values.len() * ROW_BYTES);
        let mut text = String::with_capacity(ROW_BYTES);
        for row in 0..values.len() {
            if values.is_null(row) {
                texts.append_null();
                continue;
            }
            text.clear();
            self.format.write_value(&mut text, values, row).map_err(DataFusionError::from)?;
            texts.append_value(&text);
        }
        Ok(std::sync::Arc::new(texts.finish()))
    }

    fn identity(&self) -> (&[(String, String)], &str) {
        (&self.given, &self.time_zone)
    }
}

impl PartialEq for ToJson {
    fn eq(&self, other: &ToJson) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for ToJson {}

impl Hash for ToJson {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
