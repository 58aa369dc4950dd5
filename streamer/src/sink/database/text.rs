//! Values as PostgreSQL's `COPY` and as both databases' text types take them.

use std::fmt::Write;

use chrono::DateTime;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;

use crate::format::json::JsonFormat;
use crate::format::text::{Style, TextFormat, beyond_calendar};

/// Columns come in the layouts of [`crate::sink::spark_layout`].
#[derive(Clone, Debug)]
pub(super) struct DatabaseText {
    json: JsonFormat,
    text: TextFormat,
}

impl DatabaseText {
    pub(super) fn new(time_zone: Tz) -> DatabaseText {
        DatabaseText { json: JsonFormat::new(time_zone), text: TextFormat { style: Style::Cast, time_zone } }
    }

    /// Appends a value that is not null and no bytes: timestamps in UTC, nested values as JSON.
    pub(super) fn write(
        &self,
        out: &mut String,
        column: &dyn Array,
        row: usize,
        utc_suffix: &str,
    ) -> Result<(), ArrowError> {
        match column.data_type() {
            DataType::Timestamp(_, zone) => {
                let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
                let time = DateTime::from_timestamp_micros(micros).ok_or_else(|| beyond_calendar(micros))?;
                out.push_str(&time.format("%Y-%m-%d %H:%M:%S%.6f").to_string());
                out.push_str(if zone.is_some() { utc_suffix } else { "" });
                Ok(())
            }
            nested if nested.is_nested() => self.json.write_value(out, column, row),
            _ => self.text.write(out, column, row),
        }
    }

    /// Appends a value as a field of `COPY … FROM STDIN` in its text format.
    pub(super) fn write_copy_field(
        &self,
        out: &mut String,
        scratch: &mut String,
        column: &dyn Array,
        row: usize,
    ) -> Result<(), ArrowError> {
        if column.is_null(row) || *column.data_type() == DataType::Null {
            out.push_str("\\N");
            return Ok(());
        }
        match column.data_type() {
            DataType::Utf8 => push_escaped(out, column.as_string::<i32>().value(row)),
            DataType::Binary => {
                out.push_str("\\\\x");
                for byte in column.as_binary::<i32>().value(row) {
                    // A text takes whatever is written to it.
                    let _ = write!(out, "{byte:02x}");
                }
            }
            _ => {
                scratch.clear();
                self.write(scratch, column, row, "+00")?;
                push_escaped(out, scratch);
            }
        }
        Ok(())
    }
}

fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '\n', '\r', '\t']) {
        let (plain, after) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = after.chars();
        out.push_str(match characters.next() {
            Some('\n') => "\\n",
            Some('\r') => "\\r",
            Some('\t') => "\\t",
            _ => "\\\\",
        });
        rest = characters.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_field_or_line_is_escaped() {
        let mut out = String::new();
        push_escaped(&mut out, "a\tb\\c\n\rü\\.");
        assert_eq!(out, "a\\tb\\\\c\\n\\rü\\\\.");
    }
}
