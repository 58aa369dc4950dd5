//! Values as text: in the tables of `show()` and by `CAST … AS STRING`. Spark's `ToStringBase`.

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::array_value_to_string;

use super::{number, timestamp};

/// The two ways in which Spark turns values into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `show()`: null is `NULL`, bytes are `[61 62]`.
    Table,
    /// `CAST … AS STRING`: null inside of a value is `null`, bytes are UTF-8.
    Cast,
}

#[derive(Clone, Copy, Debug)]
pub struct TextFormat {
    pub style: Style,
    pub time_zone: Tz,
}

impl TextFormat {
    /// Appends the value in `row`.
    pub fn write(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        if array.is_null(row) || *array.data_type() == DataType::Null {
            out.push_str(match self.style {
                Style::Table => "NULL",
                Style::Cast => "null",
            });
            return Ok(());
        }
        match array.data_type() {
            DataType::Float64 => {
                out.push_str(&number::double(array.as_primitive::<Float64Type>().value(row)));
            }
            DataType::Float32 => out.push_str(&number::float(array.as_primitive::<Float32Type>().value(row))),
            DataType::Decimal128(_, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                out.push_str(&decimal(value, *scale));
            }
            DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
            DataType::Binary => self.write_bytes(out, array.as_binary::<i32>().value(row)),
            DataType::Date32 => out.push_str(&date(array, row)),
            DataType::Timestamp(unit, zone) => {
                out.push_str(&self.timestamp(array, row, *unit, zone.is_some())?);
            }
            DataType::List(_) => self.write_list(out, array.as_list::<i32>().value(row).as_ref())?,
            DataType::Struct(_) => self.write_struct(out, array, row)?,
            DataType::Map(..) => self.write_map(out, array, row)?,
            _ => return self.write_other(out, array, row),
        }
        Ok(())
    }

    fn write_bytes(&self, out: &mut String, bytes: &[u8]) {
        match self.style {
            Style::Cast => out.push_str(&String::from_utf8_lossy(bytes)),
            Style::Table => {
                let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                out.push_str(&format!("[{}]", hex.join(" ")));
            }
        }
    }

    fn timestamp(
        &self,
        array: &dyn Array,
        row: usize,
        unit: TimeUnit,
        zoned: bool,
    ) -> Result<String, ArrowError> {
        let value = timestamp_value(array, row, unit)?;
        let local = match zoned {
            true => timestamp::zoned(value, unit, &self.time_zone).map(|instant| instant.naive_local()),
            false => timestamp::naive(value, unit),
        };
        local.map(timestamp::text).ok_or_else(|| beyond_calendar(value))
    }

    fn write_list(&self, out: &mut String, elements: &dyn Array) -> Result<(), ArrowError> {
        out.push('[');
        for index in 0..elements.len() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.write(out, elements, index)?;
        }
        out.push(']');
        Ok(())
    }

    fn write_struct(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        out.push('{');
        for (index, column) in array.as_struct().columns().iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.write(out, column, row)?;
        }
        out.push('}');
        Ok(())
    }

    fn write_map(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        let entries = array.as_map().value(row);
        out.push('{');
        for index in 0..entries.len() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.write(out, entries.column(0), index)?;
            out.push_str(" -> ");
            self.write(out, entries.column(1), index)?;
        }
        out.push('}');
        Ok(())
    }

    /// Types with one layout in Spark and several in Arrow go through the one above; the rest, such as
    /// integers, Arrow writes as Spark does.
    fn write_other(&self, out: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
        match plain_layout(array.data_type()) {
            Some(plain) => {
                let value: ArrayRef = cast(&array.slice(row, 1), &plain)?;
                self.write(out, &value, 0)
            }
            None => {
                out.push_str(&array_value_to_string(array, row)?);
                Ok(())
            }
        }
    }
}

/// The type that stands for all of Arrow's layouts of the same values.
pub(super) fn plain_layout(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Some(DataType::Binary),
        DataType::Dictionary(_, value) => Some(value.as_ref().clone()),
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) => {
            Some(DataType::List(field.clone()))
        }
        _ => None,
    }
}

pub(super) fn date(array: &dyn Array, row: usize) -> String {
    let days = array.as_primitive::<Date32Type>().value_as_date(row);
    days.map_or_else(String::new, |date| date.format("%Y-%m-%d").to_string())
}

pub(crate) fn decimal(value: i128, scale: i8) -> String {
    let digits = value.unsigned_abs().to_string();
    let scale = usize::try_from(scale).unwrap_or(0);
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

pub(super) fn timestamp_value(array: &dyn Array, row: usize, unit: TimeUnit) -> Result<i64, ArrowError> {
    if unit == TimeUnit::Microsecond {
        return Ok(array.as_primitive::<TimestampMicrosecondType>().value(row));
    }
    let value = cast(&array.slice(row, 1), &DataType::Int64)?;
    Ok(value.as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(0))
}

pub(crate) fn beyond_calendar(value: i64) -> ArrowError {
    ArrowError::ComputeError(format!("timestamp {value} is beyond the calendar"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_plain() {
        assert_eq!(decimal(150, 2), "1.50");
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(42, 0), "42");
    }
}
