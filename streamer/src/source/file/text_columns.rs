//! Texts into columns of other types, as Spark's CSV reader (`UnivocityParser`) takes them.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::functions::json::{TimeReader, decimal};

pub(super) enum TextColumn {
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Boolean(BooleanBuilder),
    Byte(Int8Builder),
    Short(Int16Builder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampNtz(TimestampMicrosecondBuilder),
}

impl TextColumn {
    /// `None` for a type that no text stands for.
    pub(super) fn new(data_type: &DataType) -> Option<TextColumn> {
        let timestamps = || TimestampMicrosecondBuilder::new().with_data_type(data_type.clone());
        Some(match data_type {
            DataType::Utf8 => TextColumn::Text(StringBuilder::new()),
            DataType::Binary => TextColumn::Binary(BinaryBuilder::new()),
            DataType::Boolean => TextColumn::Boolean(BooleanBuilder::new()),
            DataType::Int8 => TextColumn::Byte(Int8Builder::new()),
            DataType::Int16 => TextColumn::Short(Int16Builder::new()),
            DataType::Int32 => TextColumn::Int(Int32Builder::new()),
            DataType::Int64 => TextColumn::Long(Int64Builder::new()),
            DataType::Float32 => TextColumn::Float(Float32Builder::new()),
            DataType::Float64 => TextColumn::Double(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(data_type.clone());
                TextColumn::Decimal(builder, *precision, *scale)
            }
            DataType::Date32 => TextColumn::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => TextColumn::Timestamp(timestamps()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => TextColumn::TimestampNtz(timestamps()),
            _ => return None,
        })
    }

    /// `false` where the text does not fit, which makes null of it.
    pub(super) fn push(&mut self, text: Option<&str>, times: &TimeReader) -> bool {
        let Some(text) = text else {
            self.push_null();
            return true;
        };
        match self {
            TextColumn::Text(texts) => {
                texts.append_value(text);
                true
            }
            TextColumn::Binary(bytes) => {
                bytes.append_value(text);
                true
            }
            TextColumn::Boolean(values) => push(boolean(text), |value| values.append_option(value)),
            TextColumn::Byte(values) => push(text.parse().ok(), |value| values.append_option(value)),
            TextColumn::Short(values) => push(text.parse().ok(), |value| values.append_option(value)),
            TextColumn::Int(values) => push(text.parse().ok(), |value| values.append_option(value)),
            TextColumn::Long(values) => push(text.parse().ok(), |value| values.append_option(value)),
            TextColumn::Float(values) => {
                push(java_float(text).parse().ok(), |value| values.append_option(value))
            }
            TextColumn::Double(values) => {
                push(java_float(text).parse().ok(), |value| values.append_option(value))
            }
            TextColumn::Decimal(values, precision, scale) => {
                push(decimal(text, *precision, *scale), |value| values.append_option(value))
            }
            TextColumn::Date(values) => push(times.date(text), |value| values.append_option(value)),
            TextColumn::Timestamp(values) => push(times.timestamp(text), |value| values.append_option(value)),
            TextColumn::TimestampNtz(values) => {
                push(times.timestamp_ntz(text), |value| values.append_option(value))
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            TextColumn::Text(values) => values.append_null(),
            TextColumn::Binary(values) => values.append_null(),
            TextColumn::Boolean(values) => values.append_null(),
            TextColumn::Byte(values) => values.append_null(),
            TextColumn::Short(values) => values.append_null(),
            TextColumn::Int(values) => values.append_null(),
            TextColumn::Long(values) => values.append_null(),
            TextColumn::Float(values) => values.append_null(),
            TextColumn::Double(values) => values.append_null(),
            TextColumn::Decimal(values, ..) => values.append_null(),
            TextColumn::Date(values) => values.append_null(),
            TextColumn::Timestamp(values) | TextColumn::TimestampNtz(values) => values.append_null(),
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            TextColumn::Text(values) => Arc::new(values.finish()),
            TextColumn::Binary(values) => Arc::new(values.finish()),
            TextColumn::Boolean(values) => Arc::new(values.finish()),
            TextColumn::Byte(values) => Arc::new(values.finish()),
            TextColumn::Short(values) => Arc::new(values.finish()),
            TextColumn::Int(values) => Arc::new(values.finish()),
            TextColumn::Long(values) => Arc::new(values.finish()),
            TextColumn::Float(values) => Arc::new(values.finish()),
            TextColumn::Double(values) => Arc::new(values.finish()),
            TextColumn::Decimal(values, ..) => Arc::new(values.finish()),
            TextColumn::Date(values) => Arc::new(values.finish()),
            TextColumn::Timestamp(values) | TextColumn::TimestampNtz(values) => Arc::new(values.finish()),
        }
    }
}

fn push<T>(value: Option<T>, append: impl FnOnce(Option<T>)) -> bool {
    let fits = value.is_some();
    append(value);
    fits
}

/// What of a text `java.lang.Double.parseDouble` looks at: no blanks around it, and no letter that tells the type.
fn java_float(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c <= ' ');
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    if number.ends_with(|c: char| c.is_ascii_digit() || c == '.') { number } else { text }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}
