//! What Spark says of a value that cannot be cast.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

use crate::schema::sql_type;

/// A text that is no value of the type.
pub(in crate::functions) fn malformed(text: &str, target: &DataType) -> DataFusionError {
    DataFusionError::Execution(format!(
        "[CAST_INVALID_INPUT] The value '{text}' of the type \"STRING\" cannot be cast to \"{}\" because it is malformed. \
         Correct the value as per the syntax, or change its target type. Use `try_cast` to tolerate malformed input and \
         return NULL instead. SQLSTATE: 22018",
        sql_type(target)
    ))
}

/// `value` as a literal.
pub(super) fn overflow(value: &str, from: &DataType, target: &DataType) -> DataFusionError {
    let suffix = match from {
        _ if value == "NaN" || value.ends_with("Infinity") => "",
        DataType::Int64 => "L",
        DataType::Int16 => "S",
        DataType::Int8 => "Y",
        DataType::Float64 => "D",
        DataType::Decimal128(..) => "BD",
        _ => "",
    };
    DataFusionError::Execution(format!(
        "[CAST_OVERFLOW] The value {value}{suffix} of the type \"{}\" cannot be cast to \"{}\" due to an overflow. Use \
         `try_cast` to tolerate overflow and return NULL instead. SQLSTATE: 22003",
        sql_type(from),
        sql_type(target)
    ))
}

/// A number that has more digits than the decimal.
pub(in crate::functions) fn out_of_range(value: &str, precision: u8, scale: i8) -> DataFusionError {
    DataFusionError::Execution(format!(
        "[NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION]  {value} cannot be represented as Decimal({precision}, {scale}). If \
         necessary set \"spark.sql.ansi.enabled\" to \"false\" to bypass this error, and return NULL instead. SQLSTATE: \
         22003"
    ))
}

/// A text that is not of a pattern.
pub(in crate::functions) fn timestamp_not_parsed(text: &str) -> DataFusionError {
    not_parsed(text, "try_to_timestamp")
}

pub(in crate::functions) fn date_not_parsed(text: &str) -> DataFusionError {
    not_parsed(text, "try_to_date")
}

fn not_parsed(text: &str, alternative: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "[CANNOT_PARSE_TIMESTAMP] Text '{text}' could not be parsed. Use `{alternative}` to tolerate invalid input string \
         and return NULL instead. SQLSTATE: 22007"
    ))
}
