//! `from_json(text, schema[, options])`: Spark's `JsonToStructs`.
//!
//! A call as it is written knows only its type. Planning puts a [`ParseJson`](super::parse_json::ParseJson) in its place.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::options;
use super::parse_json::ParseJson;
use super::reader::nullable;
use crate::malformed_records::MalformedRecords;
use crate::schema::{self, sql_type};

#[derive(Debug)]
pub(in crate::functions) struct FromJson {
    signature: Signature,
    time_zone: String,
    malformed: Arc<MalformedRecords>,
}

impl FromJson {
    pub(in crate::functions) fn new(time_zone: &str, malformed: Arc<MalformedRecords>) -> FromJson {
        let signature = Signature::user_defined(Volatility::Immutable);
        FromJson { signature, time_zone: time_zone.to_owned(), malformed }
    }

    /// What is computed for a call, whose arguments are as they were written.
    pub(in crate::functions) fn planned(&self, mut arguments: Vec<Expr>, zone: Tz) -> Result<Expr> {
        let options = match arguments.len() {
            3.. => options::of_map(&arguments.pop().unwrap_or_default())?,
            _ => Vec::new(),
        };
        let (Some(schema), Some(text)) = (arguments.pop(), arguments.pop()) else {
            return internal_err!("from_json has two arguments or three");
        };
        let schema = match &schema {
            Expr::Literal(schema, _) => self.schema(Some(schema))?,
            _ => self.schema(None)?,
        };
        let parse = ParseJson::new(schema, options, &self.time_zone, zone, self.malformed.clone())?;
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(parse)), vec![text])))
    }

    fn schema(&self, literal: Option<&ScalarValue>) -> Result<DataType> {
        let Some(Some(Some(text))) = literal.map(ScalarValue::try_as_str) else {
            let written = literal.map(ToString::to_string).unwrap_or_default();
            return plan_err!(
                "[INVALID_SCHEMA.NON_STRING_LITERAL] The input schema \"{written}\" is not a valid schema string. The \
                 input expression must be string literal and not null. SQLSTATE: 42K07"
            );
        };
        let schema = schema::parse(text, &self.time_zone);
        let schema = schema.map_err(|error| DataFusionError::Plan(error.to_string()))?;
        check_schema(&schema)?;
        Ok(nullable(&schema))
    }
}

impl PartialEq for FromJson {
    fn eq(&self, other: &FromJson) -> bool {
        self.time_zone == other.time_zone
    }
}

impl Eq for FromJson {}

impl Hash for FromJson {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time_zone.hash(state);
    }
}

impl ScalarUDFImpl for FromJson {
    fn name(&self) -> &str {
        "from_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [text, _] | [text, _, _] if text.is_string() || text.is_null() => {
                let options = types.iter().skip(2).cloned();
                Ok([DataType::Utf8, DataType::Utf8].into_iter().chain(options).collect())
            }
            [text, _] | [text, _, _] => plan_err!(
                "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] Cannot resolve \"from_json\" due to data type mismatch: The \
                 first parameter requires the \"STRING\" type, however it has the type \"{}\". SQLSTATE: 42K09",
                sql_type(text)
            ),
            other => plan_err!(
                "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `from_json` requires [2, 3] parameters but the actual number is \
                 {}. SQLSTATE: 42605",
                other.len()
            ),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("the type of from_json depends on its schema")
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let schema = self.schema(arguments.scalar_arguments.get(1).copied().flatten())?;
        Ok(Arc::new(Field::new(self.name(), schema, true)))
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("from_json has not been planned")
    }
}

fn check_schema(schema: &DataType) -> Result<()> {
    if !schema.is_nested() {
        return plan_err!(
            "[DATATYPE_MISMATCH.INVALID_JSON_SCHEMA] Cannot resolve \"from_json\" due to data type mismatch: Input schema \
             \"{}\" must be a struct, an array, a map or a variant. SQLSTATE: 42K09",
            sql_type(schema)
        );
    }
    if has_map_without_text(schema) {
        return plan_err!(
            "[DATATYPE_MISMATCH.INVALID_JSON_MAP_KEY_TYPE] Cannot resolve \"from_json\" due to data type mismatch: Input \
             schema \"{}\" can only contain STRING as a key type for a MAP. SQLSTATE: 42K09",
            sql_type(schema)
        );
    }
    Ok(())
}

fn has_map_without_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| has_map_without_text(field.data_type())),
        DataType::List(element) => has_map_without_text(element.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                fields.first().is_some_and(|key| !key.data_type().is_string())
                    || fields.get(1).is_some_and(|value| has_map_without_text(value.data_type()))
            }
            _ => false,
        },
        _ => false,
    }
}
