//! Rows as lines of CSV, quoted as Spark's writer (univocity) quotes them.

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::error::ArrowError;

use super::error::FileSinkError;
use crate::format::json::JsonFormat;
use crate::format::text::{Style, TextFormat};
use crate::format::type_name;
use crate::options::{Options, OptionsError};

/// Spark's options of the CSV writer.
#[derive(Clone, Debug)]
pub(super) struct CsvRows {
    header: bool,
    separator: String,
    quote: char,
    escape: char,
    /// What stands before an escape character in a quoted value.
    escape_of_escape: Option<char>,
    quote_all: bool,
    escape_quotes: bool,
    null_value: String,
    empty_value: String,
    trim_start: bool,
    trim_end: bool,
    line_separator: String,
    text: TextFormat,
    times: JsonFormat,
}

impl CsvRows {
    /// `times` writes dates and timestamps.
    pub(super) fn new(options: &Options, time_zone: Tz, times: JsonFormat) -> Result<CsvRows, OptionsError> {
        let separator = options.get("sep").or(options.get("delimiter")).unwrap_or(",");
        let quote = options.character("quote")?.map_or('"', |quote| quote.unwrap_or('\0'));
        let escape = options.character("escape")?.flatten().unwrap_or('\\');
        let own = (escape != quote).then_some(escape);
        let text = |key, default: &str| options.get(key).unwrap_or(default).to_owned();
        Ok(CsvRows {
            header: options.boolean("header", false)?,
            separator: if separator == "\\t" { "\t".to_owned() } else { separator.to_owned() },
            quote,
            escape,
            escape_of_escape: options.character("charToEscapeQuoteEscaping")?.flatten().or(own),
            quote_all: options.boolean("quoteAll", false)?,
            escape_quotes: options.boolean("escapeQuotes", true)?,
            null_value: text("nullValue", ""),
            empty_value: text("emptyValue", "\"\""),
            trim_start: options.boolean("ignoreLeadingWhiteSpace", true)?,
            trim_end: options.boolean("ignoreTrailingWhiteSpace", true)?,
            line_separator: text("lineSep", "\n"),
            text: TextFormat { style: Style::Table, time_zone },
            times,
        })
    }

    /// Nested values have no text in CSV.
    pub(super) fn check(schema: &Schema) -> Result<(), FileSinkError> {
        for field in schema.fields() {
            if field.data_type().is_nested() {
                return Err(FileSinkError::UnsupportedType {
                    source_name: "CSV",
                    column: field.name().clone(),
                    data_type: type_name::sql(field.data_type()),
                });
            }
        }
        Ok(())
    }

    pub(super) fn write_header(&self, out: &mut String, schema: &Schema) {
        if !self.header {
            return;
        }
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                out.push_str(&self.separator);
            }
            self.push_value(out, field.name(), index == 0);
        }
        out.push_str(&self.line_separator);
    }

    pub(super) fn write_row(
        &self,
        out: &mut String,
        scratch: &mut String,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<(), ArrowError> {
        let start = out.len();
        for (index, column) in batch.columns().iter().enumerate() {
            if index > 0 {
                out.push_str(&self.separator);
            }
            if is_null(column.as_ref(), row) {
                self.push_null(out);
                continue;
            }
            if let DataType::Utf8 = column.data_type() {
                self.push_value(out, column.as_string::<i32>().value(row), index == 0);
                continue;
            }
            scratch.clear();
            self.text_of(scratch, column.as_ref(), row)?;
            self.push_value(out, scratch, index == 0);
        }
        // A line with nothing in it is no row to a reader, and is left out.
        if out.len() > start {
            out.push_str(&self.line_separator);
        }
        Ok(())
    }

    fn text_of(&self, value: &mut String, column: &dyn Array, row: usize) -> Result<(), ArrowError> {
        match column.data_type() {
            DataType::Timestamp(unit, zone) => {
                value.push_str(&self.times.timestamp(column, row, *unit, zone.is_some())?);
            }
            DataType::Date32 => value.push_str(&self.times.date(column, row)),
            _ => self.text.write(value, column, row)?,
        }
        Ok(())
    }

    fn push_null(&self, out: &mut String) {
        if self.quote_all {
            out.push(self.quote);
            out.push_str(&self.null_value);
            out.push(self.quote);
        } else {
            out.push_str(&self.null_value);
        }
    }

    fn push_value(&self, out: &mut String, value: &str, is_first: bool) {
        let is_blank = |character: char| character <= ' ';
        let value = if self.trim_start { value.trim_start_matches(is_blank) } else { value };
        let value = if self.trim_end { value.trim_end_matches(is_blank) } else { value };
        if value.is_empty() {
            out.push_str(&self.empty_value);
        } else if self.is_quoted(value, is_first) {
            self.push_quoted(out, value);
        } else {
            out.push_str(value);
        }
    }

    fn is_quoted(&self, value: &str, is_first: bool) -> bool {
        self.quote_all
            || value.starts_with(self.quote)
            || (self.escape_quotes && value.contains(self.quote))
            || value.contains(self.separator.as_str())
            || value.contains(['\n', '\r'])
            // A line that begins like a comment would be read as one.
            || (is_first && value.starts_with('#'))
    }

    fn push_quoted(&self, out: &mut String, value: &str) {
        out.push(self.quote);
        for character in value.chars() {
            if character == self.quote {
                out.push(self.escape);
            } else if character == self.escape {
                out.extend(self.escape_of_escape);
            }
            match character {
                '\n' => out.push_str(&self.line_separator),
                other => out.push(other),
            }
        }
        out.push(self.quote);
    }
}

fn is_null(column: &dyn Array, row: usize) -> bool {
    column.is_null(row) || *column.data_type() == DataType::Null
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;

    use super::*;

    const VALUES: [Option<&str>; 23] = [
        Some("plain"),
        Some("a\\b"),
        Some("a\"b"),
        Some("\""),
        Some("\\"),
        Some("a\nb"),
        Some("a\r\nb"),
        Some(" lead"),
        Some("trail "),
        Some("  "),
        Some(""),
        Some("#c"),
        Some("\\\""),
        Some("it's"),
        Some("a;b"),
        Some("a,b"),
        Some("\t"),
        Some("a\tb"),
        Some("\0x"),
        Some("end\\"),
        None,
        Some("-"),
        Some("é"),
    ];

    fn written(options: &[(&str, &str)]) -> String {
        let column: Arc<dyn Array> = Arc::new(StringArray::from(VALUES.to_vec()));
        let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
        let options = Options::from_iter(options.iter().copied());
        let utc = "UTC".parse().unwrap();
        let rows = CsvRows::new(&options, utc, JsonFormat::new(utc)).unwrap();
        let mut text = String::new();
        rows.write_header(&mut text, &batch.schema());
        (0..batch.num_rows())
            .for_each(|row| rows.write_row(&mut text, &mut String::new(), &batch, row).unwrap());
        text
    }

    // The texts below were written by PySpark 4.1.1.

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let expected = "plain\na\\b\n\"a\\\"b\"\n\"\\\"\"\n\\\n\"a\nb\"\n\"a\r\nb\"\nlead\ntrail\n\"\"\n\"\"\n\"#c\"\n\
                        \"\\\\\\\"\"\nit's\na;b\n\"a,b\"\n\"\"\na\tb\nx\nend\\\n-\né\n";
        assert_eq!(written(&[]), expected);
        let expected = "\"plain\"\n\"a\\\\b\"\n\"a\\\"b\"\n\"\\\"\"\n\"\\\\\"\n\"a\nb\"\n\"a\r\nb\"\n\"lead\"\n\"trail\"\n\
                        \"\"\n\"\"\n\"#c\"\n\"\\\\\\\"\"\n\"it's\"\n\"a;b\"\n\"a,b\"\n\"\"\n\"a\tb\"\n\"x\"\n\
                        \"end\\\\\"\n\"\"\n\"-\"\n\"é\"\n";
        assert_eq!(written(&[("quoteAll", "true")]), expected);
    }

    #[test]
    fn other_characters_quote_and_escape() {
        let expected = "plain\na\\b\n\"a\"\"b\"\n\"\"\"\"\n\\\n\"a\nb\"\n\"a\r\nb\"\nlead\ntrail\n\"\"\n\"\"\n\"#c\"\n\
                        \"\\\"\"\"\nit's\na;b\n\"a,b\"\n\"\"\na\tb\nx\nend\\\n-\né\n";
        assert_eq!(written(&[("escape", "\"")]), expected);
        let expected = "plain\na\\b\na\"b\n\"\n\\\n'a\nb'\n'a\r\nb'\nlead\ntrail\n\"\"\n\"\"\n'#c'\n\
                        \\\"\n'it\\'s'\na;b\n'a,b'\n\"\"\na\tb\nx\nend\\\n-\né\n";
        assert_eq!(written(&[("quote", "'")]), expected);
    }

    #[test]
    fn blanks_stay_and_nulls_are_named_where_that_is_asked_for() {
        let text = written(&[("ignoreLeadingWhiteSpace", "false"), ("ignoreTrailingWhiteSpace", "false")]);
        assert!(text.contains("\n lead\ntrail \n  \n\"\"\n"), "{text}");
        let text = written(&[("nullValue", "NULL"), ("emptyValue", "EMPTY"), ("header", "true")]);
        assert!(text.starts_with("v\nplain\n") && text.contains("\nEMPTY\nEMPTY\n"), "{text}");
        assert!(text.ends_with("end\\\nNULL\n-\né\n"), "{text}");
    }
}
