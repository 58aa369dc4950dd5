//! The type of a column of CSV, found value by value. Spark's `CSVInferSchema`.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::functions::json::TimeReader;

const MAX_PRECISION: usize = 38;
/// Of a BIGINT as a decimal.
const LONG_PRECISION: u8 = 20;

/// What the values so far can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InferredType {
    Nothing,
    Int,
    Long,
    /// A whole number that is too large for a BIGINT.
    Decimal {
        precision: u8,
    },
    Double,
    Date,
    Timestamp,
    Boolean,
    Text,
}

impl InferredType {
    pub(super) fn add(&mut self, text: &str, times: &TimeReader) {
        if *self != InferredType::Text {
            *self = self.or(InferredType::of(text, *self, times));
        }
    }

    /// `known` spares attempts that cannot succeed.
    fn of(text: &str, known: InferredType, times: &TimeReader) -> InferredType {
        use InferredType::{Boolean, Date, Decimal, Double, Int, Long, Nothing, Text, Timestamp};
        let may_be_number = matches!(known, Nothing | Int | Long | Decimal { .. } | Double);
        if may_be_number && let Some(number) = number(text) {
            return number;
        }
        match () {
            () if known != Boolean && times.date(text).is_some() && is_date(text) => Date,
            () if known != Boolean && times.timestamp(text).is_some() => Timestamp,
            () if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => Boolean,
            () => Text,
        }
    }

    /// The type that holds the values of both.
    fn or(self, other: InferredType) -> InferredType {
        use InferredType::{Date, Decimal, Double, Int, Long, Nothing, Text, Timestamp};
        match (self, other) {
            (one, other) if one == other => one,
            (Nothing, known) | (known, Nothing) => known,
            (Int, Long) | (Long, Int) => Long,
            (Int | Long, Decimal { precision }) | (Decimal { precision }, Int | Long) => {
                Decimal { precision: precision.max(LONG_PRECISION) }
            }
            (Decimal { precision: one }, Decimal { precision: other }) => {
                Decimal { precision: one.max(other) }
            }
            (Int | Long | Decimal { .. } | Double, Int | Long | Decimal { .. } | Double) => Double,
            (Date, Timestamp) | (Timestamp, Date) => Timestamp,
            _ => Text,
        }
    }

    pub(super) fn data_type(self, time_zone: &str) -> DataType {
        match self {
            InferredType::Nothing | InferredType::Text => DataType::Utf8,
            InferredType::Int => DataType::Int32,
            InferredType::Long => DataType::Int64,
            InferredType::Decimal { precision } => DataType::Decimal128(precision, 0),
            InferredType::Double => DataType::Float64,
            InferredType::Date => DataType::Date32,
            InferredType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
            InferredType::Boolean => DataType::Boolean,
        }
    }
}

fn number(text: &str) -> Option<InferredType> {
    if text.parse::<i32>().is_ok() {
        return Some(InferredType::Int);
    }
    if text.parse::<i64>().is_ok() {
        return Some(InferredType::Long);
    }
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= MAX_PRECISION
    {
        return u8::try_from(digits.len()).ok().map(|precision| InferredType::Decimal { precision });
    }
    text.parse::<f64>().ok().map(|_| InferredType::Double)
}

/// `yyyy-MM-dd` and nothing behind it.
fn is_date(text: &str) -> bool {
    text.len() == 10
}
