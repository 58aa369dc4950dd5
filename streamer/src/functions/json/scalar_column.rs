//! Numbers, flags, times and bytes, each from the kinds of JSON values that Spark takes for it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, NullArray, NullBufferBuilder, PrimitiveArray,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::error::ArrowError;

use super::column::Fit;
use super::number::{Number, decimal};
use super::options::{JsonOptions, TimeReader};
use super::scanner::{Malformed, Scalar, Scanner};
use crate::datetime::civil::MICROS_PER_SECOND;

#[derive(Debug)]
pub(super) struct ScalarColumn {
    values: Values,
    nulls: NullBufferBuilder,
    data_type: DataType,
    times: TimeReader,
    scratch: String,
}

/// A null has a value here, too.
#[derive(Debug)]
enum Values {
    Void(usize),
    Boolean(Vec<bool>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    TimestampNtz(Vec<i64>),
    Binary(Vec<Vec<u8>>),
}

/// One value into whichever vector.
macro_rules! each_vector {
    ($values:expr, $vector:ident => $do:expr, $void:ident => $do_void:expr) => {
        match $values {
            Values::Void($void) => $do_void,
            Values::Boolean($vector) => $do,
            Values::Int8($vector) => $do,
            Values::Int16($vector) => $do,
            Values::Int32($vector) | Values::Date($vector) => $do,
            Values::Int64($vector) | Values::Timestamp($vector) | Values::TimestampNtz($vector) => $do,
            Values::Float32($vector) => $do,
            Values::Float64($vector) => $do,
            Values::Decimal { values: $vector, .. } => $do,
            Values::Binary($vector) => $do,
        }
    };
}

impl ScalarColumn {
    /// `None` for a type that no JSON value has.
    pub(super) fn new(data_type: &DataType, options: &JsonOptions) -> Option<ScalarColumn> {
        let values = match data_type {
            DataType::Null => Values::Void(0),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Values::Timestamp(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Values::TimestampNtz(Vec::new()),
            DataType::Binary => Values::Binary(Vec::new()),
            _ => return None,
        };
        Some(ScalarColumn {
            values,
            nulls: NullBufferBuilder::new(0),
            data_type: data_type.clone(),
            times: options.times.clone(),
            scratch: String::new(),
        })
    }

    #[inline]
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        let is_good = match scanner.peek()? {
            quote if scanner.is_quote(quote) => self.read_text(scanner)?,
            b'{' | b'[' => {
                scanner.skip()?;
                matches!(self.values, Values::Void(_))
            }
            _ => match scanner.scalar()? {
                Scalar::Null => {
                    self.push_null();
                    return Ok(Fit::Good);
                }
                Scalar::Number(number) => self.push_number(&number),
                Scalar::Boolean(value) => self.push_boolean(value),
                Scalar::NonNumeric(value) => self.push_non_numeric(value),
            },
        };
        if is_good && !matches!(self.values, Values::Void(_)) {
            self.nulls.append_non_null();
            return Ok(Fit::Good);
        }
        self.push_null();
        Ok(if is_good { Fit::Good } else { Fit::Bad })
    }

    /// The following add a value and say so, or they add nothing.
    #[inline]
    fn push_number(&mut self, number: &Number<'_>) -> bool {
        match &mut self.values {
            Values::Int64(values) => push(values, number.integer()),
            Values::Int32(values) => push(values, number.integer().and_then(|value| value.try_into().ok())),
            Values::Int16(values) => push(values, number.integer().and_then(|value| value.try_into().ok())),
            Values::Int8(values) => push(values, number.integer().and_then(|value| value.try_into().ok())),
            Values::Float64(values) => push(values, Some(number.double())),
            Values::Float32(values) => push(values, Some(number.float())),
            Values::Decimal { values, precision, scale } => {
                push(values, decimal(number.text, *precision, *scale))
            }
            // Seconds; Java's multiplication wraps around.
            Values::Timestamp(values) => {
                push(values, number.integer().map(|seconds| seconds.wrapping_mul(MICROS_PER_SECOND)))
            }
            Values::Void(_) => true,
            _ => false,
        }
    }

    fn push_boolean(&mut self, value: bool) -> bool {
        match &mut self.values {
            Values::Boolean(values) => push(values, Some(value)),
            Values::Void(_) => true,
            _ => false,
        }
    }

    fn push_non_numeric(&mut self, value: f64) -> bool {
        match &mut self.values {
            Values::Float64(values) => push(values, Some(value)),
            Values::Float32(values) => push(values, Some(value as f32)),
            Values::Void(_) => true,
            _ => false,
        }
    }

    #[inline]
    fn read_text(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, Malformed> {
        let raw = scanner.string()?;
        let (values, times) = (&mut self.values, &self.times);
        raw.with(&mut self.scratch, |text| push_text(values, times, text))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(super) fn push_null(&mut self) {
        each_vector!(&mut self.values, values => values.push(Default::default()), count => *count += 1);
        self.nulls.append_null();
    }

    pub(super) fn truncate(&mut self, len: usize) {
        each_vector!(&mut self.values, values => values.truncate(len), count => *count = len);
        self.nulls.truncate(len);
    }

    pub(super) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let (mut builder, data_type) = (self.nulls, self.data_type);
        let nulls = builder.finish();
        Ok(match self.values {
            Values::Void(count) => Arc::new(NullArray::new(count)),
            Values::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Int8(values) => primitive::<Int8Type>(values, nulls, data_type)?,
            Values::Int16(values) => primitive::<Int16Type>(values, nulls, data_type)?,
            Values::Int32(values) => primitive::<Int32Type>(values, nulls, data_type)?,
            Values::Int64(values) => primitive::<Int64Type>(values, nulls, data_type)?,
            Values::Float32(values) => primitive::<Float32Type>(values, nulls, data_type)?,
            Values::Float64(values) => primitive::<Float64Type>(values, nulls, data_type)?,
            Values::Decimal { values, .. } => primitive::<Decimal128Type>(values, nulls, data_type)?,
            Values::Date(values) => primitive::<Date32Type>(values, nulls, data_type)?,
            Values::Timestamp(values) | Values::TimestampNtz(values) => {
                primitive::<TimestampMicrosecondType>(values, nulls, data_type)?
            }
            Values::Binary(values) => Arc::new(binary(&values, nulls.as_ref())),
        })
    }
}

/// As the number functions above.
fn push_text(values: &mut Values, times: &TimeReader, text: &str) -> bool {
    match values {
        Values::Timestamp(values) => push(values, times.timestamp(text)),
        Values::TimestampNtz(values) => push(values, times.timestamp_ntz(text)),
        Values::Date(values) => push(values, times.date(text)),
        Values::Float64(values) => push(values, non_numeric(text)),
        Values::Float32(values) => push(values, non_numeric(text).map(|value| value as f32)),
        // Thousands may be set apart by commas, as in Java's US locale.
        Values::Decimal { values, precision, scale } => match text.contains(',') {
            true => push(values, decimal(&text.replace(',', ""), *precision, *scale)),
            false => push(values, decimal(text, *precision, *scale)),
        },
        Values::Binary(values) => push(values, STANDARD.decode(text).ok()),
        Values::Void(_) => true,
        _ => false,
    }
}

#[inline]
fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            values.push(value);
            true
        }
        None => false,
    }
}

fn non_numeric(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" | "+INF" => Some(f64::INFINITY),
        "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: DataType,
) -> Result<ArrayRef, ArrowError> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls)?;
    Ok(Arc::new(array.with_data_type(data_type)))
}

fn binary(values: &[Vec<u8>], nulls: Option<&NullBuffer>) -> datafusion::arrow::array::BinaryArray {
    let mut builder = BinaryBuilder::with_capacity(values.len(), 0);
    for (row, value) in values.iter().enumerate() {
        match nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            true => builder.append_value(value),
            false => builder.append_null(),
        }
    }
    builder.finish()
}
