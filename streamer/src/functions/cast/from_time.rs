//! Timestamps and dates to each other, by the session's time zone, and to numbers of seconds.

use datafusion::arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;

use super::Context;
use super::error::{out_of_range, overflow};
use crate::datetime::civil::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::format::text::decimal as decimal_text;
use crate::functions::json::decimal;

impl Context {
    pub(super) fn time_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        let from = values.data_type();
        if let (DataType::Date32, DataType::Timestamp(_, zone)) = (from, target) {
            let has_zone = zone.is_some();
            return self.each::<Date32Type, TimestampMicrosecondType>(
                values.as_primitive(),
                target,
                |days| {
                    let midnight = i64::from(days).checked_mul(MICROS_PER_DAY)?;
                    if has_zone { self.zone.to_utc(midnight) } else { Some(midnight) }
                },
                |days| overflow(&days.to_string(), from, target),
            );
        }
        let has_zone = matches!(from, DataType::Timestamp(_, Some(_)));
        let micros = match from {
            DataType::Timestamp(TimeUnit::Microsecond, _) => values.clone(),
            DataType::Timestamp(_, zone) => {
                cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?
            }
            _ => return Ok(cast(values, target)?),
        };
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        match target {
            DataType::Timestamp(_, zone) => self.between_zones(micros, has_zone, zone.is_some(), target),
            DataType::Date32 => self.each::<_, Date32Type>(
                micros,
                target,
                |value| {
                    let local = if has_zone { self.zone.to_local(value) } else { value };
                    local.div_euclid(MICROS_PER_DAY).try_into().ok()
                },
                |value| overflow(&value.to_string(), from, target),
            ),
            _ => self.seconds(micros, target),
        }
    }

    fn between_zones(
        self,
        micros: &PrimitiveArray<TimestampMicrosecondType>,
        had_zone: bool,
        has_zone: bool,
        target: &DataType,
    ) -> Result<ArrayRef> {
        self.each::<_, TimestampMicrosecondType>(
            micros,
            target,
            |value| match (had_zone, has_zone) {
                (true, false) => Some(self.zone.to_local(value)),
                (false, true) => self.zone.to_utc(value),
                _ => Some(value),
            },
            |value| overflow(&value.to_string(), micros.data_type(), target),
        )
    }

    /// Seconds since 1970.
    fn seconds(
        self,
        micros: &PrimitiveArray<TimestampMicrosecondType>,
        target: &DataType,
    ) -> Result<ArrayRef> {
        let seconds = |value: i64| value.div_euclid(MICROS_PER_SECOND);
        let error = |value: i64| overflow(&value.to_string(), micros.data_type(), target);
        match target {
            DataType::Int8 => self.each::<_, Int8Type>(micros, target, |v| seconds(v).try_into().ok(), error),
            DataType::Int16 => {
                self.each::<_, Int16Type>(micros, target, |v| seconds(v).try_into().ok(), error)
            }
            DataType::Int32 => {
                self.each::<_, Int32Type>(micros, target, |v| seconds(v).try_into().ok(), error)
            }
            DataType::Int64 => self.each::<_, Int64Type>(micros, target, |v| Some(seconds(v)), error),
            DataType::Float32 => {
                self.each::<_, Float32Type>(micros, target, |v| Some((v as f64 / 1e6) as f32), error)
            }
            DataType::Float64 => self.each::<_, Float64Type>(micros, target, |v| Some(v as f64 / 1e6), error),
            DataType::Decimal128(precision, scale) => self.each::<_, Decimal128Type>(
                micros,
                target,
                |v| decimal(&decimal_text(i128::from(v), 6), *precision, *scale),
                |v| out_of_range(&decimal_text(i128::from(v), 6), *precision, *scale),
            ),
            other => Ok(cast(micros, other)?),
        }
    }
}
