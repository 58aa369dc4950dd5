//! Numbers and flags to other numbers and to times.

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

use super::error::{out_of_range, overflow};
use super::{Context, OnError};
use crate::datetime::civil::MICROS_PER_SECOND;
use crate::format::number;
use crate::format::text::decimal as decimal_text;
use crate::functions::json::decimal;

impl Context {
    pub(super) fn number_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        match (values.data_type(), target) {
            (DataType::Boolean, _) => self.cast(&cast(values, &DataType::Int8)?, target),
            (DataType::Decimal128(_, scale), DataType::Decimal128(..)) => {
                let text = |value: i128| decimal_text(value, *scale);
                self.rescale::<Decimal128Type>(values, target, text)
            }
            (DataType::Decimal128(_, scale), _) => self.decimal_to(values, *scale, target),
            (from, _) if from.is_floating() => self.float_to(values, target),
            (from, _) if from.is_integer() => self.integer_to(values, target),
            (from, _) => internal_err!("{from} is no number"),
        }
    }

    fn integer_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        let from = values.data_type();
        let wide = cast(values, &DataType::Int64)?;
        let wide_values = wide.as_primitive::<Int64Type>();
        let error = |value: i64| overflow(&value.to_string(), from, target);
        let wraps = self.on_error == OnError::Wrap;
        match target {
            DataType::Int8 => self.each::<_, Int8Type>(
                wide_values,
                target,
                |value| if wraps { Some(value as i8) } else { value.try_into().ok() },
                error,
            ),
            DataType::Int16 => self.each::<_, Int16Type>(
                wide_values,
                target,
                |value| if wraps { Some(value as i16) } else { value.try_into().ok() },
                error,
            ),
            DataType::Int32 => self.each::<_, Int32Type>(
                wide_values,
                target,
                |value| if wraps { Some(value as i32) } else { value.try_into().ok() },
                error,
            ),
            DataType::Timestamp(..) => self.each::<_, TimestampMicrosecondType>(
                wide_values,
                target,
                |seconds| Some(seconds.saturating_mul(MICROS_PER_SECOND)),
                error,
            ),
            DataType::Decimal128(..) => {
                self.rescale::<Int64Type>(&wide, target, |value: i64| value.to_string())
            }
            _ => Ok(cast(values, target)?),
        }
    }

    /// Fractions are cut off.
    fn float_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        let from = values.data_type();
        let wide = cast(values, &DataType::Float64)?;
        let wide = wide.as_primitive::<Float64Type>();
        let error = |value: f64| overflow(&number::double(value), from, target);
        // Rust's conversion saturates, as Java's does.
        let wraps = self.on_error == OnError::Wrap;
        let within = |value: f64, min: f64, end: f64| wraps || (value.trunc() >= min && value.trunc() < end);
        match target {
            DataType::Int8 => self.each::<_, Int8Type>(
                wide,
                target,
                |value| within(value, -128.0, 128.0).then_some(value as i32 as i8),
                error,
            ),
            DataType::Int16 => self.each::<_, Int16Type>(
                wide,
                target,
                |value| within(value, -32_768.0, 32_768.0).then_some(value as i32 as i16),
                error,
            ),
            DataType::Int32 => self.each::<_, Int32Type>(
                wide,
                target,
                |value| within(value, -2_147_483_648.0, 2_147_483_648.0).then_some(value as i32),
                error,
            ),
            DataType::Int64 => self.each::<_, Int64Type>(
                wide,
                target,
                |value| within(value, -(2_f64.powi(63)), 2_f64.powi(63)).then_some(value as i64),
                error,
            ),
            DataType::Timestamp(..) => self.each::<_, TimestampMicrosecondType>(
                wide,
                target,
                |seconds| seconds.is_finite().then_some((seconds * 1e6) as i64),
                error,
            ),
            _ => self.rescale::<Float64Type>(&cast(values, &DataType::Float64)?, target, |value: f64| {
                value.to_string()
            }),
        }
    }

    fn decimal_to(self, values: &ArrayRef, scale: i8, target: &DataType) -> Result<ArrayRef> {
        let from = values.data_type();
        let decimals = values.as_primitive::<Decimal128Type>();
        let unit = 10_i128.pow(u32::try_from(scale).unwrap_or(0));
        let error = |value: i128| overflow(&decimal_text(value, scale), from, target);
        let wraps = self.on_error == OnError::Wrap;
        match target {
            DataType::Int8 => self.each::<_, Int8Type>(
                decimals,
                target,
                |value| if wraps { Some((value / unit) as i8) } else { (value / unit).try_into().ok() },
                error,
            ),
            DataType::Int16 => self.each::<_, Int16Type>(
                decimals,
                target,
                |value| if wraps { Some((value / unit) as i16) } else { (value / unit).try_into().ok() },
                error,
            ),
            DataType::Int32 => self.each::<_, Int32Type>(
                decimals,
                target,
                |value| if wraps { Some((value / unit) as i32) } else { (value / unit).try_into().ok() },
                error,
            ),
            DataType::Int64 => self.each::<_, Int64Type>(
                decimals,
                target,
                |value| if wraps { Some((value / unit) as i64) } else { (value / unit).try_into().ok() },
                error,
            ),
            _ => self.each::<_, TimestampMicrosecondType>(
                decimals,
                target,
                |value| value.checked_mul(i128::from(MICROS_PER_SECOND))?.checked_div(unit)?.try_into().ok(),
                error,
            ),
        }
    }

    /// To a decimal, by the digits that `text` writes.
    fn rescale<F: ArrowPrimitiveType>(
        self,
        values: &ArrayRef,
        target: &DataType,
        text: impl Fn(F::Native) -> String,
    ) -> Result<ArrayRef> {
        let DataType::Decimal128(precision, scale) = *target else {
            return internal_err!("{target} is no decimal");
        };
        self.each::<F, Decimal128Type>(
            values.as_primitive::<F>(),
            target,
            |value| decimal(&text(value), precision, scale),
            |value| out_of_range(&text(value), precision, scale),
        )
    }
}
