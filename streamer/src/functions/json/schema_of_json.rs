//! `schema_of_json(text)`: the schema of a record as DDL. Spark's `SchemaOfJson`.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::inferred::Inferred;
use super::scanner::{Dialect, Malformed, Scanner};
use crate::schema::sql_type;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct SchemaOfJson {
    signature: Signature,
}

impl SchemaOfJson {
    pub(in crate::functions) fn new() -> SchemaOfJson {
        SchemaOfJson { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SchemaOfJson {
    fn name(&self) -> &str {
        "schema_of_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if !matches!(arguments.scalar_arguments, [Some(_)]) {
            return plan_err!(
                "[DATATYPE_MISMATCH.NON_FOLDABLE_INPUT] Cannot resolve \"schema_of_json\" due to data type mismatch: the \
                 input `json` should be a foldable \"STRING\" expression. SQLSTATE: 42K09"
            );
        }
        Ok(Field::new(self.name(), DataType::Utf8, false).into())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Scalar(text)] => match text.try_as_str() {
                Some(Some(text)) => Ok(ColumnarValue::Scalar(ScalarValue::from(schema_of_json(text)?))),
                _ => plan_err!(
                    "[DATATYPE_MISMATCH.UNEXPECTED_NULL] Cannot resolve \"schema_of_json\" due to data type mismatch: \
                     The `json` must not be null. SQLSTATE: 42K09"
                ),
            },
            _ => internal_err!("schema_of_json has one literal"),
        }
    }
}

/// The schema of one value, such as `STRUCT<a: BIGINT>`.
pub(crate) fn schema_of_json(text: &str) -> Result<String> {
    let mut scanner = Scanner::new(text, Dialect::STANDARD);
    match Inferred::read(&mut scanner) {
        Ok(inferred) => Ok(sql_type(&inferred.data_type())),
        Err(Malformed) => Err(DataFusionError::Execution(format!(
            "schema_of_json cannot read this, which is no JSON: {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_spark_s() {
        for (text, schema) in [
            (r#"{"b":[1,2.5],"a":1}"#, "STRUCT<a: BIGINT, b: ARRAY<DOUBLE>>"),
            (r#"{"a":null,"b":"","c":"x","d":{}}"#, "STRUCT<a: STRING, b: STRING, c: STRING>"),
            (r#"[{"a":1},{"a":"x","b":[]}]"#, "ARRAY<STRUCT<a: STRING, b: ARRAY<STRING>>>"),
            (r#"{"a":12345678901234567890}"#, "STRUCT<a: DECIMAL(20,0)>"),
            (r#"[1,true]"#, "ARRAY<STRING>"),
            (r#"[]"#, "ARRAY<STRING>"),
            (r#"1"#, "BIGINT"),
            (r#"{}"#, "STRUCT<>"),
        ] {
            assert_eq!(schema_of_json(text).unwrap(), schema, "{text}");
        }
        assert!(schema_of_json("{").unwrap_err().to_string().contains("no JSON: {"));
    }
}
