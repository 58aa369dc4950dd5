//! Schemas as text: Spark's DDL and its JSON form, and the names of types in its messages.

mod ddl;
mod json;
mod names;
mod tokens;

pub use names::{catalog_type, fields_ddl, sql_type};

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use thiserror::Error;

/// Deeper types are refused.
const MAX_DEPTH: usize = 100;
/// Longer schema texts are refused.
const MAX_BYTES: usize = 1 << 20;

/// The text is no schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    #[error("[PARSE_SYNTAX_ERROR] Syntax error at or near {near} in the schema. SQLSTATE: 42601")]
    Syntax { near: String },
    #[error("[PARSE_EMPTY_STATEMENT] Syntax error, unexpected empty statement. SQLSTATE: 42617")]
    Empty,
    #[error("[UNSUPPORTED_DATATYPE] Unsupported data type \"{name}\". SQLSTATE: 0A000")]
    UnsupportedType { name: String },
    #[error(
        "[UNSUPPORTED_CHAR_OR_VARCHAR_AS_STRING] The char/varchar type can't be used in the table schema; write STRING. \
         SQLSTATE: 0A000"
    )]
    CharOrVarchar,
    #[error(
        "[DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION] Decimal precision {precision} exceeds max precision 38. SQLSTATE: \
         22003"
    )]
    DecimalPrecision { precision: u32 },
    #[error(
        "[INVALID_DECIMAL_SCALE] Decimal scale {scale} cannot be greater than precision {precision}. SQLSTATE: 42K09"
    )]
    DecimalScale { precision: u32, scale: u32 },
    #[error(
        "[INVALID_JSON_DATA_TYPE] Failed to convert the JSON string '{text}' to a data type. Please enter a valid data \
         type. SQLSTATE: 2203G"
    )]
    JsonType { text: String },
    #[error("the schema is longer than {MAX_BYTES} bytes or nested deeper than {MAX_DEPTH} levels")]
    TooLarge,
}

/// Reads a schema as Spark's `from_json` and `schema(…)` take it: columns (`a INT, b STRUCT<c: STRING>`), a type
/// (`ARRAY<INT>`), or the JSON of a type. `time_zone` is the session's, of `TIMESTAMP`.
pub fn parse(text: &str, time_zone: &str) -> Result<DataType, SchemaError> {
    if text.len() > MAX_BYTES {
        return Err(SchemaError::TooLarge);
    }
    if text.trim_start().starts_with(['{', '"']) {
        return json::parse(text, time_zone);
    }
    ddl::parse(text, time_zone)
}

/// The columns of a table: [`parse`], where the text has to be of columns.
pub fn parse_columns(text: &str, time_zone: &str) -> Result<Fields, SchemaError> {
    match parse(text, time_zone)? {
        DataType::Struct(fields) => Ok(fields),
        _ => Err(SchemaError::Syntax { near: format!("'{text}'") }),
    }
}

/// Arrow's layout of a list as Spark's Parquet writer names it.
pub fn list_of(element: DataType, contains_null: bool) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, contains_null)))
}

pub fn map_of(key: DataType, value: DataType, value_contains_null: bool) -> DataType {
    let fields = vec![Field::new("key", key, false), Field::new("value", value, value_contains_null)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
}

/// The type of this name, whichever case it is in, if it takes no further words.
fn simple_type(name: &str, time_zone: &str) -> Option<DataType> {
    Some(match name.to_ascii_lowercase().as_str() {
        "boolean" => DataType::Boolean,
        "tinyint" | "byte" => DataType::Int8,
        "smallint" | "short" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" | "long" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" | "timestamp_ltz" => DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "void" | "null" => DataType::Null,
        "decimal" | "dec" | "numeric" => DataType::Decimal128(10, 0),
        _ => return None,
    })
}

fn decimal(precision: u32, scale: u32) -> Result<DataType, SchemaError> {
    if scale > precision {
        return Err(SchemaError::DecimalScale { precision, scale });
    }
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) => Ok(DataType::Decimal128(precision, scale)),
        _ => Err(SchemaError::DecimalPrecision { precision }),
    }
}
