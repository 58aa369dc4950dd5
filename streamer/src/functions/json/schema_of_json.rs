//! `schema_of_json(text)`: the schema of a record as DDL. Spark's `SchemaOfJson` and `JsonInferSchema`.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::number::Number;
use super::scanner::{Dialect, Malformed, Scalar, Scanner};
use crate::schema::{list_of, sql_type};

const MAX_PRECISION: u8 = 38;
/// Of a BIGINT as a decimal.
const LONG_PRECISION: u8 = 20;

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

/// What a value can be, before types that nothing is known of become text.
#[derive(Clone, Debug, PartialEq)]
enum Inferred {
    /// Null or empty text, which says nothing.
    Unknown,
    Boolean,
    Long,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Double,
    Text,
    List(Box<Inferred>),
    Struct(BTreeMap<String, Inferred>),
}

impl Inferred {
    fn read(scanner: &mut Scanner<'_>) -> std::result::Result<Inferred, Malformed> {
        match scanner.peek()? {
            b'{' => {
                let mut fields = BTreeMap::new();
                scanner.members(|scanner, name| {
                    let mut decoded = String::new();
                    name.append_to(&mut decoded)?;
                    fields.insert(decoded, Inferred::read(scanner)?);
                    Ok(())
                })?;
                Ok(Inferred::Struct(fields))
            }
            b'[' => {
                let mut element = Inferred::Unknown;
                scanner.elements(|scanner| {
                    let next = Inferred::read(scanner)?;
                    element = std::mem::replace(&mut element, Inferred::Unknown).or(next);
                    Ok(())
                })?;
                Ok(Inferred::List(Box::new(element)))
            }
            quote if quote == b'"' || scanner.is_quote(quote) => {
                let is_empty = scanner.string()?.text.is_empty();
                Ok(if is_empty { Inferred::Unknown } else { Inferred::Text })
            }
            _ => Ok(match scanner.scalar()? {
                Scalar::Null => Inferred::Unknown,
                Scalar::Boolean(_) => Inferred::Boolean,
                Scalar::Number(number) => Inferred::of_number(&number),
                Scalar::NonNumeric(_) => Inferred::Double,
            }),
        }
    }

    fn of_number(number: &Number<'_>) -> Inferred {
        if !number.is_integer {
            return Inferred::Double;
        }
        let digits = number.text.trim_start_matches('-').trim_start_matches('0').len();
        match (number.text.parse::<i64>(), u8::try_from(digits)) {
            (Ok(_), _) => Inferred::Long,
            (_, Ok(precision @ ..=MAX_PRECISION)) => Inferred::Decimal { precision, scale: 0 },
            _ => Inferred::Double,
        }
    }

    /// The type that holds the values of both.
    fn or(self, other: Inferred) -> Inferred {
        use Inferred::{Decimal, Double, List, Long, Struct, Text, Unknown};
        match (self, other) {
            (one, other) if one == other => one,
            (Unknown, known) | (known, Unknown) => known,
            (Long, Decimal { precision, scale }) | (Decimal { precision, scale }, Long) => {
                Decimal { precision: precision.max(LONG_PRECISION), scale }
            }
            (Decimal { precision: one, .. }, Decimal { precision: other, scale }) => {
                Decimal { precision: one.max(other), scale }
            }
            (Long | Decimal { .. } | Double, Long | Decimal { .. } | Double) => Double,
            (List(one), List(other)) => List(Box::new(one.or(*other))),
            (Struct(mut one), Struct(other)) => {
                for (name, field) in other {
                    let known = one.remove(&name).unwrap_or(Unknown);
                    one.insert(name, known.or(field));
                }
                Struct(one)
            }
            _ => Text,
        }
    }

    fn data_type(&self) -> DataType {
        self.known().unwrap_or_else(|| match self {
            Inferred::Struct(_) => DataType::Struct(Fields::empty()),
            _ => DataType::Utf8,
        })
    }

    /// Objects without fields, and lists of them, are `None`.
    fn known(&self) -> Option<DataType> {
        Some(match self {
            Inferred::Unknown | Inferred::Text => DataType::Utf8,
            Inferred::Boolean => DataType::Boolean,
            Inferred::Long => DataType::Int64,
            Inferred::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Inferred::Double => DataType::Float64,
            Inferred::List(element) => list_of(element.known()?, true),
            Inferred::Struct(fields) => {
                let known = fields.iter().filter(|(name, _)| !name.is_empty());
                let known = known.filter_map(|(name, field)| Some(Field::new(name, field.known()?, true)));
                let known: Vec<_> = known.collect();
                return (!known.is_empty()).then(|| DataType::Struct(known.into()));
            }
        })
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
