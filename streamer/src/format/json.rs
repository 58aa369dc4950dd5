//! Rows as `to_json(struct(*))` writes them: null fields left out, bytes in base64, timestamps in ISO form.
//! Spark's `JacksonGenerator`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Fields, Float32Type, Float64Type, TimeUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::array_value_to_string;

use super::{number, text, timestamp};
use crate::datetime::civil::MICROS_PER_DAY;
use crate::datetime::pattern::TimePatterns;
use crate::datetime::zone::Zone;

#[derive(Clone, Debug)]
pub struct JsonFormat {
    time_zone: Tz,
    keep_nulls: bool,
    patterns: TimePatterns,
}

impl JsonFormat {
    /// Leaves null fields out, as Spark does unless told otherwise.
    pub fn new(time_zone: Tz) -> JsonFormat {
        JsonFormat { time_zone, keep_nulls: false, patterns: TimePatterns::default() }
    }

    /// Writes fields that are null as such where `keep_nulls`: where Spark's `ignoreNullFields` is false.
    pub fn with_nulls(self, keep_nulls: bool) -> JsonFormat {
        JsonFormat { keep_nulls, ..self }
    }

    pub(crate) fn with_patterns(self, patterns: TimePatterns) -> JsonFormat {
        JsonFormat { patterns, ..self }
    }

    /// Appends one row as an object, its columns under `names`.
    pub fn write_row<'a>(
        &self,
        out: &mut String,
        names: impl Iterator<Item = &'a str>,
        columns: &[ArrayRef],
        row: usize,
    ) -> Result<(), ArrowError> {
        out.push('{');
        let start = out.len();
        for (name, column) in names.zip(columns) {
            if !self.keep_nulls && is_null(column, row) {
                continue;
            }
            if out.len() > start {
                out.push(',');
            }
            write_string(out, name);
            out.push(':');
            self.write(out, column, row)?;
        }
        out.push('}');
        Ok(())
    }

    /// Appends a single value.
    pub(crate) fn write_value(
        &self,
        out: &mut String,
        array: &dyn Array,
        row: usize,
    ) -> Result<(), ArrowError> {
        self.write(out, array, row)
    }

    fn write(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        if is_null(array, row) {
            out.push_str("null");
            return Ok(());
        }
        match array.data_type() {
            DataType::Float64 => {
                write_float(out, &number::double(array.as_primitive::<Float64Type>().value(row)));
            }
            DataType::Float32 => {
                write_float(out, &number::float(array.as_primitive::<Float32Type>().value(row)));
            }
            DataType::Decimal128(_, scale) => {
                out.push_str(&text::decimal(array.as_primitive::<Decimal128Type>().value(row), *scale));
            }
            DataType::Utf8 => write_string(out, array.as_string::<i32>().value(row)),
            DataType::Binary => write_string(out, &STANDARD.encode(array.as_binary::<i32>().value(row))),
            DataType::Date32 => write_string(out, &self.date(array, row)),
            DataType::Timestamp(unit, zone) => {
                write_string(out, &self.timestamp(array, row, *unit, zone.is_some())?);
            }
            DataType::List(_) => self.write_list(out, array.as_list::<i32>().value(row).as_ref())?,
            DataType::Struct(fields) => self.write_struct(out, fields, array, row)?,
            DataType::Map(..) => self.write_map(out, array, row)?,
            _ => return self.write_other(out, array, row),
        }
        Ok(())
    }

    /// `2013-07-01`, or by the pattern.
    pub(crate) fn date(&self, array: &dyn Array, row: usize) -> String {
        match &self.patterns.date {
            None => text::date(array, row),
            Some(pattern) => {
                let days = i64::from(array.as_primitive::<Date32Type>().value(row));
                pattern.format_local(days * MICROS_PER_DAY, Zone::new(self.time_zone))
            }
        }
    }

    /// `2013-07-01T10:00:00.123+02:00`, without the zone where the type has none, or by the pattern.
    pub(crate) fn timestamp(
        &self,
        array: &dyn Array,
        row: usize,
        unit: TimeUnit,
        zoned: bool,
    ) -> Result<String, ArrowError> {
        let value = text::timestamp_value(array, row, unit)?;
        let patterns = &self.patterns;
        if let Some(pattern) = if zoned { &patterns.timestamp } else { &patterns.timestamp_ntz } {
            let micros = timestamp::micros(value, unit).ok_or_else(|| text::beyond_calendar(value))?;
            let zone = Zone::new(self.time_zone);
            return Ok(if zoned { pattern.format(micros, zone) } else { pattern.format_local(micros, zone) });
        }
        let iso = match zoned {
            true => timestamp::zoned(value, unit, &self.time_zone).as_ref().map(timestamp::iso),
            false => timestamp::naive(value, unit).map(timestamp::iso_local),
        };
        iso.ok_or_else(|| text::beyond_calendar(value))
    }

    fn write_list(&self, out: &mut String, elements: &dyn Array) -> Result<(), ArrowError> {
        out.push('[');
        for index in 0..elements.len() {
            out.push_str(if index > 0 { "," } else { "" });
            self.write(out, elements, index)?;
        }
        out.push(']');
        Ok(())
    }

    fn write_struct(
        &self,
        out: &mut String,
        fields: &Fields,
        array: &dyn Array,
        row: usize,
    ) -> Result<(), ArrowError> {
        let names = fields.iter().map(|field| field.name().as_str());
        self.write_row(out, names, array.as_struct().columns(), row)
    }

    fn write_map(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        let key_format = text::TextFormat { style: text::Style::Cast, time_zone: self.time_zone };
        let entries = array.as_map().value(row);
        out.push('{');
        for index in 0..entries.len() {
            out.push_str(if index > 0 { "," } else { "" });
            let mut key = String::new();
            key_format.write(&mut key, entries.column(0), index)?;
            write_string(out, &key);
            out.push(':');
            self.write(out, entries.column(1), index)?;
        }
        out.push('}');
        Ok(())
    }

    fn write_other(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        if let Some(plain) = text::plain_layout(array.data_type()) {
            return self.write(out, &cast(&array.slice(row, 1), &plain)?, 0);
        }
        let value = array_value_to_string(array, row)?;
        match array.data_type().is_integer() || *array.data_type() == DataType::Boolean {
            true => out.push_str(&value),
            false => write_string(out, &value),
        }
        Ok(())
    }
}

fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

/// JSON has no number for these.
fn write_float(out: &mut String, text: &str) {
    match text {
        "NaN" | "Infinity" | "-Infinity" => write_string(out, text),
        finite => out.push_str(finite),
    }
}

/// Appends a JSON string, escaped as Jackson escapes it.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}
