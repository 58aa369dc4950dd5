//! Records of JSON text to one Arrow column.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::array_column::ListColumn;
use super::column::{Column, Fit};
use super::options::{JsonOptions, Mode};
use super::scanner::{Malformed, Scanner};
use super::text_column::TextColumn;
use crate::format::text::{Style, TextFormat};

#[derive(Debug)]
pub(crate) struct Reader {
    column: Column,
    /// Where the text of records that do not fit goes: its place among the fields, and its values.
    corrupt: Option<(usize, TextColumn)>,
    fields: Fields,
    options: JsonOptions,
    time_zone: Tz,
}

impl Reader {
    /// Of a struct, a list or a map.
    pub(super) fn new(schema: &DataType, options: JsonOptions, time_zone: Tz) -> Result<Reader> {
        let mut fields = match schema {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        };
        let mut corrupt = None;
        let all_fields = fields.clone();
        if let Some((place, _)) = fields.find(&options.corrupt_record) {
            corrupt = Some((place, TextColumn::default()));
            let others = fields.iter().enumerate().filter(|(other, _)| *other != place);
            fields = others.map(|(_, field)| field.clone()).collect();
        }
        let schema = if corrupt.is_some() { &DataType::Struct(fields) } else { schema };
        let column = Column::new(schema, &options)?;
        Ok(Reader { column, corrupt, fields: all_fields, options, time_zone })
    }

    /// As [`Reader::new`], in the time zone of its options.
    pub(crate) fn of_session(schema: &DataType, options: JsonOptions) -> Result<Reader> {
        let time_zone = options.times.time_zone();
        Reader::new(schema, options, time_zone)
    }

    /// Whether the record fits.
    pub(crate) fn push(&mut self, record: Option<&str>) -> Result<bool> {
        let Some(record) = record.filter(|record| !record.trim_ascii_start().is_empty()) else {
            self.column.push_null();
            if let Some((_, texts)) = &mut self.corrupt {
                texts.push(None);
            }
            return Ok(true);
        };
        let row = self.column.len();
        let is_good = match self.read(record) {
            Ok(Fit::Good) => true,
            Ok(Fit::Partial) => false,
            Ok(Fit::Bad) | Err(Malformed) => {
                self.column.truncate(row);
                match &mut self.column {
                    Column::Struct(column) => column.push_empty(),
                    other => other.push_null(),
                }
                false
            }
        };
        if let Some((_, texts)) = &mut self.corrupt {
            texts.push((!is_good).then_some(record));
        }
        if !is_good && self.options.mode == Mode::FailFast {
            self.fail(record, row)?;
        }
        Ok(is_good)
    }

    fn read(&mut self, record: &str) -> Result<Fit, Malformed> {
        let mut scanner = Scanner::new(record, self.options.dialect);
        let is_null = scanner.peek()? != b'{' && scanner.is_at_null();
        let fit = match &mut self.column {
            Column::List(column) => ListColumn::read_single(column, &mut scanner),
            column => column.read(&mut scanner),
        };
        // At the top null does not fit.
        if is_null { Ok(Fit::Bad) } else { fit }
    }

    /// Spark's message, with the record as far as it fits.
    fn fail(&mut self, record: &str, row: usize) -> Result<()> {
        let advice = "Parse Mode: FAILFAST. To process malformed records as null result, try setting the option 'mode' \
                      as 'PERMISSIVE'.";
        if matches!(self.column, Column::Struct(_)) && record.trim_ascii_start().starts_with('[') {
            return exec_err!(
                "[MALFORMED_RECORD_IN_PARSING.CANNOT_PARSE_JSON_ARRAYS_AS_STRUCTS] Malformed records are detected in \
                 record parsing: {record}.\n{advice} Parsing JSON arrays as structs is forbidden. SQLSTATE: 22023"
            );
        }
        let values = self.shown(row)?;
        exec_err!(
            "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] Malformed records are detected in record parsing: \
             [{values}].\n{advice}  SQLSTATE: 22023"
        )
    }

    /// The values of a row as Java shows a row.
    fn shown(&mut self, row: usize) -> Result<String> {
        let empty = Column::new(&DataType::Null, &self.options)?;
        let column = std::mem::replace(&mut self.column, empty).finish()?;
        let format = TextFormat { style: Style::Cast, time_zone: self.time_zone };
        let mut texts = Vec::new();
        match column.as_struct_opt() {
            Some(values) => {
                for value in values.columns() {
                    let mut text = String::new();
                    format.write(&mut text, value, row)?;
                    texts.push(text);
                }
            }
            None => texts.push("null".to_owned()),
        }
        Ok(texts.join(","))
    }

    pub(crate) fn finish(self) -> Result<ArrayRef> {
        let column = self.column.finish()?;
        let (Some((place, texts)), Some(values)) = (self.corrupt, column.as_struct_opt()) else {
            return Ok(column);
        };
        let mut columns = values.columns().to_vec();
        columns.insert(place.min(columns.len()), texts.finish()?);
        Ok(Arc::new(StructArray::try_new(self.fields, columns, values.nulls().cloned())?))
    }
}

/// The type with nothing in it that may not be null: whatever a schema says, JSON may lack it.
pub(crate) fn nullable(data_type: &DataType) -> DataType {
    let field = |field: &Field| Field::new(field.name(), nullable(field.data_type()), true);
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| field(f)).collect()),
        DataType::List(element) => DataType::List(Arc::new(field(element))),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return data_type.clone();
            };
            // Keys are never null.
            let fields: Fields = fields
                .iter()
                .enumerate()
                .map(|(place, f)| if place == 0 { Field::clone(f) } else { field(f) })
                .collect();
            let entries = Field::new(entries.name(), DataType::Struct(fields), false);
            DataType::Map(Arc::new(entries), *sorted)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datetime::zone::Zone;
    use crate::schema;

    /// What Spark 4.1.1 answered: the text, the schema, `key=value` options, and the result cast to a string.
    const GOLDEN: &str = include_str!("from_json.golden.jsonl");

    type Golden = (Option<String>, String, Vec<(String, String)>, Option<String>);

    fn read(text: Option<&str>, schema: &str, options: &[(String, String)]) -> Result<Option<String>> {
        let zone: Tz = "Europe/Berlin".parse()?;
        let schema = nullable(&schema::parse(schema, "Europe/Berlin").unwrap());
        let mut reader = Reader::new(&schema, JsonOptions::new(options, Zone::new(zone))?, zone)?;
        // A record in front shows that what is cut back is not more than it should be.
        reader.push(None)?;
        reader.push(text)?;
        let values = reader.finish()?;
        assert!(values.len() == 2 && values.is_null(0));
        if values.is_null(1) {
            return Ok(None);
        }
        let mut shown = String::new();
        TextFormat { style: Style::Cast, time_zone: zone }.write(&mut shown, &values, 1)?;
        Ok(Some(shown))
    }

    #[test]
    fn records_are_read_as_spark_reads_them() {
        let mut differences = Vec::new();
        for line in GOLDEN.lines() {
            let (text, schema, options, expected): Golden = serde_json::from_str(line).unwrap();
            let found = read(text.as_deref(), &schema, &options).map_err(|error| error.to_string());
            if found != Ok(expected) {
                differences.push(format!("{line}\n  is {found:?}"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    #[test]
    fn failfast_says_what_spark_says() {
        let failfast = [("mode".to_owned(), "failFast".to_owned())];
        let schema = "a INT, b STRING, c DOUBLE, d STRUCT<e INT>";
        for (text, message) in [
            (
                r#"{"a":"x","b":"y z","c":1.5}"#,
                "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] Malformed records are detected in record parsing: \
                 [null,y z,1.5,null].\nParse Mode: FAILFAST. To process malformed records as null result, try setting the \
                 option 'mode' as 'PERMISSIVE'.  SQLSTATE: 22023",
            ),
            (
                "[1]",
                "[MALFORMED_RECORD_IN_PARSING.CANNOT_PARSE_JSON_ARRAYS_AS_STRUCTS] Malformed records are detected in \
                 record parsing: [1].\nParse Mode: FAILFAST. To process malformed records as null result, try setting \
                 the option 'mode' as 'PERMISSIVE'. Parsing JSON arrays as structs is forbidden. SQLSTATE: 22023",
            ),
        ] {
            let error = read(Some(text), schema, &failfast).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert_eq!(read(None, schema, &failfast).unwrap(), None);
        let dropping = [("mode".to_owned(), "DROPMALFORMED".to_owned())];
        let error = read(None, schema, &dropping).unwrap_err().to_string();
        assert!(error.contains("[PARSE_MODE_UNSUPPORTED]"), "{error}");
    }
}
