//! The names of types in Spark's SQL, for its messages.

use datafusion::arrow::datatypes::{DataType, Field};

/// `STRING`, `DECIMAL(5,2)`, `STRUCT<value: STRING>`. A type that Spark does not have keeps Arrow's name.
pub fn sql(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "VOID",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP",
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ",
        DataType::Decimal128(precision, scale) => return format!("DECIMAL({precision},{scale})"),
        DataType::List(element) | DataType::LargeList(element) => {
            return format!("ARRAY<{}>", sql(element.data_type()));
        }
        DataType::Struct(fields) => {
            let field = |field: &Field| format!("{}: {}", field.name(), sql(field.data_type()));
            let fields: Vec<_> = fields.iter().map(|inner| field(inner)).collect();
            return format!("STRUCT<{}>", fields.join(", "));
        }
        DataType::Map(entries, _) => return map(entries.data_type()),
        DataType::Dictionary(_, value) => return sql(value),
        other => return other.to_string(),
    };
    name.to_owned()
}

fn map(entries: &DataType) -> String {
    match entries {
        DataType::Struct(fields) => {
            let types: Vec<_> = fields.iter().map(|field| sql(field.data_type())).collect();
            format!("MAP<{}>", types.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_types_are_written_inside_out() {
        let value = Field::new("value", DataType::Utf8, true);
        let list = DataType::List(Field::new("item", DataType::Float64, true).into());
        let nested = DataType::Struct(vec![value, Field::new("xs", list, true)].into());
        assert_eq!(sql(&nested), "STRUCT<value: STRING, xs: ARRAY<DOUBLE>>");
        assert_eq!(sql(&DataType::Decimal128(5, 2)), "DECIMAL(5,2)");
    }
}
