//! Texts to values. Spark's `Cast`, `UTF8String` and `StringUtils`.

use std::sync::Arc;

use datafusion::arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, internal_err};

use super::error::{malformed, out_of_range};
use super::{Context, OnError};
use crate::datetime::text;
use crate::functions::json::decimal;

pub(super) fn serves(target: &DataType) -> bool {
    target.is_integer()
        || matches!(
            target,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(TimeUnit::Microsecond, _)
        )
}

impl Context {
    pub(super) fn text_to(self, values: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
        let values = cast(values, &DataType::Utf8)?;
        let texts = values.as_string::<i32>();
        match target {
            DataType::Boolean => self.booleans(texts),
            DataType::Int8 => {
                self.parse::<Int8Type>(texts, target, |text| self.integer(text)?.try_into().ok())
            }
            DataType::Int16 => {
                self.parse::<Int16Type>(texts, target, |text| self.integer(text)?.try_into().ok())
            }
            DataType::Int32 => {
                self.parse::<Int32Type>(texts, target, |text| self.integer(text)?.try_into().ok())
            }
            DataType::Int64 => self.parse::<Int64Type>(texts, target, |text| self.integer(text)),
            DataType::Float64 => self.parse::<Float64Type>(texts, target, double),
            DataType::Float32 => self.parse::<Float32Type>(texts, target, |text| Some(double(text)? as f32)),
            DataType::Decimal128(precision, scale) => self.decimals(texts, target, *precision, *scale),
            DataType::Date32 => self.parse::<Date32Type>(texts, target, |text| {
                text::date(text).or_else(|| i32::try_from(self.special(text)?.div_euclid(DAY)).ok())
            }),
            DataType::Timestamp(_, Some(_)) => {
                let now = now_micros();
                self.parse::<TimestampMicrosecondType>(texts, target, |text| {
                    text::timestamp(text, self.zone, now).or_else(|| self.zone.to_utc(self.special(text)?))
                })
            }
            DataType::Timestamp(_, None) => self.parse::<TimestampMicrosecondType>(texts, target, |text| {
                text::timestamp_ignoring_zone(text).or_else(|| self.special(text))
            }),
            other => internal_err!("no text is cast to {other}"),
        }
    }

    fn parse<T: ArrowPrimitiveType>(
        self,
        texts: &StringArray,
        target: &DataType,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let values = texts.iter().map(|text| match text {
            None => Ok(None),
            Some(text) => match parse(text) {
                None if self.on_error == OnError::Fail => Err(malformed(text, target)),
                value => Ok(value),
            },
        });
        let values = values.collect::<Result<PrimitiveArray<T>>>()?;
        Ok(Arc::new(values.with_data_type(target.clone())))
    }

    fn booleans(self, texts: &StringArray) -> Result<ArrayRef> {
        let values = texts.iter().map(|text| {
            let Some(text) = text else {
                return Ok(None);
            };
            match trim(text).to_ascii_lowercase().as_str() {
                "t" | "true" | "y" | "yes" | "1" => Ok(Some(true)),
                "f" | "false" | "n" | "no" | "0" => Ok(Some(false)),
                _ if self.on_error == OnError::Fail => Err(malformed(text, &DataType::Boolean)),
                _ => Ok(None),
            }
        });
        Ok(Arc::new(values.collect::<Result<BooleanArray>>()?))
    }

    fn decimals(self, texts: &StringArray, target: &DataType, precision: u8, scale: i8) -> Result<ArrayRef> {
        let values = texts.iter().map(|text| {
            let Some(text) = text else {
                return Ok(None);
            };
            let trimmed = trim(text);
            match decimal(trimmed, precision, scale) {
                None if self.on_error != OnError::Fail => Ok(None),
                // Digits without places fit nothing but zero: what is no number at all does not fit even so.
                None if trimmed.parse::<f64>().is_ok_and(f64::is_finite) => {
                    Err(out_of_range(trimmed, precision, scale))
                }
                None => Err(malformed(text, target)),
                value => Ok(value),
            }
        });
        let values = values.collect::<Result<PrimitiveArray<Decimal128Type>>>()?;
        Ok(Arc::new(values.with_data_type(target.clone())))
    }

    /// Without ANSI mode, a fraction is cut off.
    fn integer(self, text: &str) -> Option<i64> {
        let text = trim(text);
        let whole = match text.split_once('.') {
            Some((whole, fraction))
                if self.on_error == OnError::Wrap && fraction.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                if matches!(whole, "" | "+" | "-") { "0" } else { whole }
            }
            _ => text,
        };
        whole.parse().ok()
    }

    /// `now`, `today`, `epoch`, …, in local time.
    fn special(self, text: &str) -> Option<i64> {
        let now = self.zone.to_local(now_micros());
        let today = now - now.rem_euclid(DAY);
        match trim(text).to_ascii_lowercase().as_str() {
            "epoch" => Some(self.zone.to_local(0)),
            "now" => Some(now),
            "today" => Some(today),
            "tomorrow" => Some(today + DAY),
            "yesterday" => Some(today - DAY),
            _ => None,
        }
    }
}

const DAY: i64 = crate::datetime::civil::MICROS_PER_DAY;

fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

fn double(text: &str) -> Option<f64> {
    let text = trim(text);
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "nan" => return Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => return Some(f64::INFINITY),
        "-inf" | "-infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    // Java lets a suffix stand behind, and Rust has words of its own.
    let number = lower.strip_suffix(['d', 'f']).unwrap_or(&lower);
    let is_number =
        number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    if is_number { number.parse().ok() } else { None }
}

/// Without spaces and control characters at either end.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}
