//! Types by Spark's names.

use datafusion::arrow::datatypes::{DataType, Field, Fields};

/// As messages have it: `STRUCT<a: INT, b: ARRAY<STRING>>`.
pub fn sql_type(data_type: &DataType) -> String {
    let inner = |field: &Field| sql_type(field.data_type());
    match data_type {
        DataType::List(element) => format!("ARRAY<{}>", inner(element)),
        DataType::Map(entries, _) => match key_and_value(entries) {
            Some((key, value)) => format!("MAP<{}, {}>", inner(key), inner(value)),
            None => "MAP".to_owned(),
        },
        DataType::Struct(fields) => {
            let field = |field: &Field| {
                let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
                format!("{}: {}{not_null}", written(field.name()), inner(field))
            };
            let fields: Vec<_> = fields.iter().map(|f| field(f)).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        simple => simple_name(simple).to_uppercase(),
    }
}

/// As `typeof` has it: `struct<a:int,b:array<string>>`.
pub fn catalog_type(data_type: &DataType) -> String {
    let inner = |field: &Field| catalog_type(field.data_type());
    match data_type {
        DataType::List(element) => format!("array<{}>", inner(element)),
        DataType::Map(entries, _) => match key_and_value(entries) {
            Some((key, value)) => format!("map<{},{}>", inner(key), inner(value)),
            None => "map".to_owned(),
        },
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| format!("{}:{}", f.name(), inner(f))).collect();
            format!("struct<{}>", fields.join(","))
        }
        simple => simple_name(simple),
    }
}

/// Columns as DDL that [`super::parse`] reads: `a INT NOT NULL,b STRING`.
pub fn fields_ddl(fields: &Fields) -> String {
    let column = |field: &Field| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{} {}{not_null}", written(field.name()), sql_type(field.data_type()))
    };
    fields.iter().map(|field| column(field)).collect::<Vec<_>>().join(",")
}

fn simple_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Date32 => "date",
        DataType::Timestamp(_, Some(_)) => "timestamp",
        DataType::Timestamp(_, None) => "timestamp_ntz",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary"
        }
        DataType::Null => "void",
        DataType::Decimal128(precision, scale) => return format!("decimal({precision},{scale})"),
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn key_and_value(entries: &Field) -> Option<(&Field, &Field)> {
    match entries.data_type() {
        DataType::Struct(fields) => Some((fields.first()?, fields.get(1)?)),
        _ => None,
    }
}

/// With backticks where they are needed.
fn written(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

#[cfg(test)]
mod tests {
    use super::super::{SchemaError, parse, parse_columns};
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "id BIGINT NOT NULL,`a b` STRING,tags ARRAY<STRUCT<x: TINYINT, `y``z`: DECIMAL(10,2)>>,m MAP<STRING, \
                    ARRAY<DATE>>,t TIMESTAMP,n TIMESTAMP_NTZ,b BINARY,v VOID,o BOOLEAN,f FLOAT,d DOUBLE,s SMALLINT";
        assert_eq!(fields_ddl(&parse_columns(text, "UTC").unwrap()), text);
    }

    #[test]
    fn all_of_sparks_spellings_are_one_schema() {
        let plain = parse_columns("a INT, b STRUCT<c: STRING, d: BIGINT>, e DECIMAL(10,0)", "UTC").unwrap();
        for text in [
            "a int, b struct<c string, d long>, e decimal",
            "struct<a: INTEGER COMMENT 'it''s', b: STRUCT<c: STRING, d: BIGINT> COMMENT \"b\", e: DEC(10)>",
            r#"{"type":"struct","fields":[{"name":"a","type":"integer","nullable":true,"metadata":{}},
                {"name":"b","type":{"type":"struct","fields":[{"name":"c","type":"string"},{"name":"d","type":"long"}]}},
                {"name":"e","type":"decimal(10,0)"}]}"#,
        ] {
            assert_eq!(parse_columns(text, "UTC").as_ref(), Ok(&plain), "{text}");
        }
        assert_eq!(catalog_type(&parse("MAP<STRING,array<int>>", "UTC").unwrap()), "map<string,array<int>>");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, message) in [
            ("", "[PARSE_EMPTY_STATEMENT]"),
            ("a", "[UNSUPPORTED_DATATYPE] Unsupported data type \"A\""),
            ("a FOO", "[UNSUPPORTED_DATATYPE] Unsupported data type \"FOO\""),
            ("a INT,, b", "near ','"),
            ("a INT b", "near 'b'"),
            ("a ARRAY<INT", "near end of input"),
            ("a DECIMAL(39,2)", "precision 39 exceeds max precision 38"),
            ("a DECIMAL(3,4)", "scale 4 cannot be greater than precision 3"),
            ("a VARCHAR(3)", "[UNSUPPORTED_CHAR_OR_VARCHAR_AS_STRING]"),
            ("`a INT", "near '`'"),
            ("{\"type\":\"struct\"}", "[INVALID_JSON_DATA_TYPE]"),
        ] {
            let error = parse(text, "UTC").unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        let deep = format!("{}INT{}", "ARRAY<".repeat(200), ">".repeat(200));
        assert_eq!(parse(&deep, "UTC"), Err(SchemaError::TooLarge));
    }
}
