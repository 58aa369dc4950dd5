//! Times by patterns: `date_format`, `to_timestamp`, `to_date`, `unix_timestamp`, `from_unixtime` and their kin.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::cast::{date_not_parsed, malformed, timestamp_not_parsed};
use crate::datetime::civil::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::datetime::pattern::Pattern;
use crate::datetime::text;
use crate::datetime::zone::Zone;
use crate::schema::sql_type;

/// What `unix_timestamp` and `from_unixtime` take where no pattern is given.
const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    DateFormat,
    FromUnixtime,
    ToTimestamp,
    TryToTimestamp,
    ToDate,
    TryToDate,
    UnixTimestamp,
    ToUnixTimestamp,
}

#[derive(Debug)]
struct TimeText {
    kind: Kind,
    /// Whether a text that is no time is an error.
    ansi: bool,
    signature: Signature,
    time_zone: String,
    zone: Zone,
}

/// `time_zone` is the name of `zone`.
pub(super) fn all(time_zone: &str, zone: Tz, ansi: bool) -> Vec<ScalarUDF> {
    let function = |kind| {
        let signature = Signature::user_defined(Volatility::Immutable);
        let ansi = ansi && !matches!(kind, Kind::TryToTimestamp | Kind::TryToDate);
        TimeText { kind, ansi, signature, time_zone: time_zone.to_owned(), zone: Zone::new(zone) }
    };
    let kinds = [
        Kind::DateFormat,
        Kind::FromUnixtime,
        Kind::ToTimestamp,
        Kind::TryToTimestamp,
        Kind::ToDate,
        Kind::TryToDate,
        Kind::UnixTimestamp,
        Kind::ToUnixTimestamp,
    ];
    kinds.into_iter().map(|kind| ScalarUDF::from(function(kind))).collect()
}

impl TimeText {
    fn identity(&self) -> (Kind, bool, &str) {
        (self.kind, self.ansi, &self.time_zone)
    }

    fn timestamp_type(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Microsecond, Some(self.time_zone.as_str().into()))
    }

    fn takes(&self, first: &DataType) -> Option<DataType> {
        match (self.kind, first) {
            (Kind::FromUnixtime, number) if number.is_integer() || number.is_null() => Some(DataType::Int64),
            (Kind::FromUnixtime, _) => None,
            (_, DataType::Date32) => Some(DataType::Date32),
            (_, DataType::Timestamp(_, Some(_))) => Some(self.timestamp_type()),
            (_, DataType::Timestamp(_, None)) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            (_, text) if text.is_string() || text.is_null() => Some(DataType::Utf8),
            _ => None,
        }
    }

    /// Microseconds since 1970 of each row.
    fn micros(&self, values: &ArrayRef, patterns: &mut Patterns<'_>) -> Result<Int64Array> {
        match values.data_type() {
            DataType::Utf8 => self.parse(values.as_string::<i32>(), patterns),
            DataType::Date32 => {
                let midnight = |days: i32| self.zone.to_utc(i64::from(days) * MICROS_PER_DAY);
                Ok(values.as_primitive::<Date32Type>().unary_opt(midnight))
            }
            DataType::Timestamp(_, zone) => {
                let values = values.as_primitive::<TimestampMicrosecondType>();
                Ok(match zone {
                    Some(_) => values.unary(|value| value),
                    None => values.unary_opt(|value| self.zone.to_utc(value)),
                })
            }
            DataType::Int64 => {
                let seconds = values.as_primitive::<Int64Type>();
                Ok(seconds.unary(|seconds| seconds.saturating_mul(MICROS_PER_SECOND)))
            }
            other => internal_err!("{other} is no time"),
        }
    }

    fn parse(&self, texts: &StringArray, patterns: &mut Patterns<'_>) -> Result<Int64Array> {
        let now = chrono::Utc::now().timestamp_micros();
        let is_date = matches!(self.kind, Kind::ToDate | Kind::TryToDate);
        let rows = texts.iter().enumerate().map(|(row, text)| {
            let Some(text) = text else {
                return Ok(None);
            };
            let micros = match patterns.of(row)? {
                None if is_date => {
                    text::date(text).and_then(|days| self.zone.to_utc(i64::from(days) * MICROS_PER_DAY))
                }
                None => text::timestamp(text, self.zone, now),
                Some(pattern) => pattern.timestamp(text, self.zone),
            };
            match micros {
                None if !self.ansi => Ok(None),
                None if !patterns.is_given() && is_date => Err(malformed(text, &DataType::Date32)),
                None if !patterns.is_given() => Err(malformed(text, &self.timestamp_type())),
                None if is_date => Err(date_not_parsed(text)),
                None => Err(timestamp_not_parsed(text)),
                micros => Ok(micros),
            }
        });
        rows.collect()
    }
}

impl PartialEq for TimeText {
    fn eq(&self, other: &TimeText) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for TimeText {}

impl Hash for TimeText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for TimeText {
    fn name(&self) -> &str {
        match self.kind {
            Kind::DateFormat => "date_format",
            Kind::FromUnixtime => "from_unixtime",
            Kind::ToTimestamp => "to_timestamp",
            Kind::TryToTimestamp => "try_to_timestamp",
            Kind::ToDate => "to_date",
            Kind::TryToDate => "try_to_date",
            Kind::UnixTimestamp => "unix_timestamp",
            Kind::ToUnixTimestamp => "to_unix_timestamp",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let most = 2;
        let least = if self.kind == Kind::DateFormat { 2 } else { 1 };
        let first = types.first().filter(|_| (least..=most).contains(&types.len()));
        let Some(first) = first else {
            return plan_err!(
                "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `{}` requires [{least}, {most}] parameters but the actual number \
                 is {}. SQLSTATE: 42605",
                self.name(),
                types.len()
            );
        };
        let Some(coerced) = self.takes(first) else {
            return plan_err!(
                "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] Cannot resolve \"{}\" due to data type mismatch: The first \
                 parameter has the type \"{}\". SQLSTATE: 42K09",
                self.name(),
                sql_type(first)
            );
        };
        Ok([coerced].into_iter().chain(types.iter().skip(1).map(|_| DataType::Utf8)).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::DateFormat | Kind::FromUnixtime => DataType::Utf8,
            Kind::ToTimestamp | Kind::TryToTimestamp => self.timestamp_type(),
            Kind::ToDate | Kind::TryToDate => DataType::Date32,
            Kind::UnixTimestamp | Kind::ToUnixTimestamp => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|argument| argument.to_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let Some(values) = arrays.first() else {
            return internal_err!("{} takes an argument", self.name());
        };
        let has_default =
            matches!(self.kind, Kind::FromUnixtime | Kind::UnixTimestamp | Kind::ToUnixTimestamp);
        let default = if has_default { Some(Pattern::parse(DEFAULT_PATTERN)?) } else { None };
        let given = arrays.get(1).map(AsArray::as_string::<i32>);
        let mut patterns = Patterns { given, default, last: None };
        let micros = self.micros(values, &mut patterns)?;
        let result: ArrayRef = match self.kind {
            Kind::DateFormat | Kind::FromUnixtime => {
                let mut texts = StringBuilder::with_capacity(rows, rows * 20);
                for (row, value) in micros.iter().enumerate() {
                    match (value, patterns.of(row)?) {
                        (Some(value), Some(pattern)) => texts.append_value(pattern.format(value, self.zone)),
                        _ => texts.append_null(),
                    }
                }
                Arc::new(texts.finish())
            }
            Kind::ToTimestamp | Kind::TryToTimestamp => {
                let timestamps = micros.reinterpret_cast::<TimestampMicrosecondType>();
                Arc::new(timestamps.with_data_type(self.timestamp_type()))
            }
            Kind::ToDate | Kind::TryToDate => {
                let day = |value: i64| self.zone.to_local(value).div_euclid(MICROS_PER_DAY).try_into().ok();
                let days: Date32Array = micros.unary_opt(day);
                Arc::new(days)
            }
            Kind::UnixTimestamp | Kind::ToUnixTimestamp => {
                let seconds: Int64Array = micros.unary(|value| value.div_euclid(MICROS_PER_SECOND));
                Arc::new(seconds)
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// The pattern of each row, which is nearly always one literal for all.
struct Patterns<'a> {
    given: Option<&'a StringArray>,
    default: Option<Pattern>,
    last: Option<(&'a str, Pattern)>,
}

impl Patterns<'_> {
    fn is_given(&self) -> bool {
        self.given.is_some() || self.default.is_some()
    }

    fn of(&mut self, row: usize) -> Result<Option<&Pattern>> {
        let Some(given) = self.given else {
            return Ok(self.default.as_ref());
        };
        if given.is_null(row) {
            return Ok(None);
        }
        let text = given.value(row);
        if self.last.as_ref().is_none_or(|(last, _)| *last != text) {
            self.last = Some((text, Pattern::parse(text)?));
        }
        Ok(self.last.as_ref().map(|(_, pattern)| pattern))
    }
}
