//! Spark's JSON form of a type, as `StructType.json` writes it.

use datafusion::arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value};

use super::{MAX_DEPTH, SchemaError, decimal, list_of, map_of, simple_type};

pub(super) fn parse(text: &str, time_zone: &str) -> Result<DataType, SchemaError> {
    let broken = |_| SchemaError::JsonType { text: text.to_owned() };
    // Serde's own depth limit is 128.
    let value: Value = serde_json::from_str(text).map_err(broken)?;
    data_type(&value, time_zone, 0)
}

fn data_type(value: &Value, time_zone: &str, depth: usize) -> Result<DataType, SchemaError> {
    if depth > MAX_DEPTH {
        return Err(SchemaError::TooLarge);
    }
    let broken = || SchemaError::JsonType { text: value.to_string() };
    if let Value::String(name) = value {
        return named(name, time_zone).ok_or_else(broken)?;
    }
    let Value::Object(node) = value else {
        return Err(broken());
    };
    let part = |name| node.get(name).ok_or_else(broken);
    let inner = |name| data_type(part(name)?, time_zone, depth + 1);
    let flag = |name: &str| node.get(name).and_then(Value::as_bool).unwrap_or(true);
    match node.get("type").and_then(Value::as_str) {
        Some("struct") => {
            let fields = part("fields")?.as_array().ok_or_else(broken)?;
            let fields = fields.iter().map(|node| field(node, time_zone, depth + 1));
            Ok(DataType::Struct(fields.collect::<Result<_, _>>()?))
        }
        Some("array") => Ok(list_of(inner("elementType")?, flag("containsNull"))),
        Some("map") => Ok(map_of(inner("keyType")?, inner("valueType")?, flag("valueContainsNull"))),
        _ => Err(broken()),
    }
}

fn field(node: &Value, time_zone: &str, depth: usize) -> Result<Field, SchemaError> {
    let broken = || SchemaError::JsonType { text: node.to_string() };
    let parts: &Map<String, Value> = node.as_object().ok_or_else(broken)?;
    let name = parts.get("name").and_then(Value::as_str).ok_or_else(broken)?;
    let data_type = data_type(parts.get("type").ok_or_else(broken)?, time_zone, depth)?;
    let nullable = parts.get("nullable").and_then(Value::as_bool).unwrap_or(true);
    Ok(Field::new(name, data_type, nullable))
}

/// `None` for a name that no type has.
fn named(name: &str, time_zone: &str) -> Option<Result<DataType, SchemaError>> {
    if let Some(sizes) = name.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, scale) = sizes.split_once(',')?;
        return Some(decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?));
    }
    if name.starts_with("char(") || name.starts_with("varchar(") {
        return Some(Err(SchemaError::CharOrVarchar));
    }
    simple_type(name, time_zone).map(Ok)
}
