//! `window`, `window_time` and `session_window`: event time cut into windows. Spark's `TimeWindow`, `WindowTime` and
//! `SessionWindow`.
//!
//! Times are microseconds. The windows of an aggregation are planned in [`crate::operators::time_window`]; what stands
//! here computes them row by row.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListBuilder, PrimitiveArray, PrimitiveBuilder, StructArray,
};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Fields, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::operators::event_time::{self, FieldMetadata};

pub(crate) const WINDOW: &str = "window";
pub(crate) const SESSION_WINDOW: &str = "session_window";

/// A row is in no more windows than this.
const MAX_WINDOWS: i64 = 10_000;

pub(super) fn all() -> Vec<ScalarUDF> {
    [Kind::Window, Kind::SessionWindow, Kind::WindowTime].map(Kind::udf).to_vec()
}

/// `start` of the window that a time is in, and for windows that slide a list of the starts.
pub(crate) fn window_starts(time: Expr, window: &WindowSpec) -> Expr {
    let kind = if window.slides() { Kind::WindowStarts } else { Kind::WindowStart };
    let [duration, slide, start] = [window.duration_us, window.slide_us, window.start_us].map(literal);
    kind.udf().call(vec![time, duration, slide, start])
}

/// `start`, as an element of a list, with what `time` says of its watermark.
pub(crate) fn marked_start(start: Expr, time: Expr, window: &WindowSpec) -> Expr {
    Kind::MarkedStart.udf().call(vec![start, time, literal(window.duration_us)])
}

/// The window that begins at `start`.
pub(crate) fn window_of(start: Expr, window: &WindowSpec) -> Expr {
    Kind::WindowOf.udf().call(vec![start, literal(window.duration_us)])
}

fn literal(microseconds: i64) -> Expr {
    Expr::Literal(ScalarValue::Int64(Some(microseconds)), None)
}

/// `window(time, duration[, slide[, start]])` without its time, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSpec {
    pub(crate) duration_us: i64,
    pub(crate) slide_us: i64,
    start_us: i64,
}

impl WindowSpec {
    /// `arguments` are those behind the time.
    pub(crate) fn new(arguments: &[i64]) -> Result<WindowSpec> {
        let duration_us = arguments.first().copied().unwrap_or(0);
        let slide_us = arguments.get(1).copied().unwrap_or(duration_us);
        let start_us = arguments.get(2).copied().unwrap_or(0);
        let refused = |what: String| {
            Err(DataFusionError::Plan(format!(
                "[DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION] Cannot resolve \"window\" due to data type mismatch: \
                 {what}. SQLSTATE: 42K09"
            )))
        };
        if duration_us <= 0 {
            return refused(format!("The `windowDuration`({duration_us}L) must be > 0"));
        }
        if slide_us <= 0 {
            return refused(format!("The `slideDuration`({slide_us}L) must be > 0"));
        }
        if slide_us > duration_us {
            return refused(format!(
                "The `slideDuration`({slide_us}L) must be <= the `windowDuration`({duration_us}L)"
            ));
        }
        if start_us.checked_abs().is_none_or(|start| start >= slide_us) {
            return refused(format!(
                "The `abs(startTime)`({start_us}L) must be < the `slideDuration`({slide_us}L)"
            ));
        }
        if duration_us / slide_us >= MAX_WINDOWS {
            return refused(format!("a row would be in more than {MAX_WINDOWS} windows"));
        }
        Ok(WindowSpec { duration_us, slide_us, start_us })
    }

    pub(crate) fn slides(&self) -> bool {
        self.slide_us != self.duration_us
    }

    /// The start of the last window that the time is in.
    fn last_start(&self, time_us: i64) -> i64 {
        time_us.saturating_sub(time_us.saturating_sub(self.start_us).rem_euclid(self.slide_us))
    }

    /// The starts of all windows that the time is in, the latest first.
    fn starts(self, time_us: i64) -> impl Iterator<Item = i64> {
        let last = self.last_start(time_us);
        let starts = (0..).map(move |index: i64| last.saturating_sub(index.saturating_mul(self.slide_us)));
        starts.take_while(move |start| start.saturating_add(self.duration_us) > time_us)
    }
}

/// An argument of `window` that is no time: a text such as `10 minutes`, or an interval.
pub(crate) fn interval_us(value: &ScalarValue) -> Result<i64> {
    if let ScalarValue::Int64(Some(microseconds)) = value {
        return Ok(*microseconds);
    }
    let text = value.to_string();
    let interval =
        value.cast_to(&DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano));
    let Ok(ScalarValue::IntervalMonthDayNano(Some(interval))) = interval else {
        return Err(DataFusionError::Plan(format!(
            "'{text}' is no interval; write one such as '10 minutes'"
        )));
    };
    let (months, days, nanoseconds) = IntervalMonthDayNanoType::to_parts(interval);
    if months != 0 {
        return Err(DataFusionError::Plan(format!(
            "Intervals greater than a month is not supported ({text})."
        )));
    }
    Ok(i64::from(days).saturating_mul(86_400_000_000).saturating_add(nanoseconds / 1_000))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Window,
    SessionWindow,
    WindowTime,
    /// Of our own, from here on: no user can write these names.
    WindowStart,
    WindowStarts,
    MarkedStart,
    WindowOf,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeWindowFunction {
    kind: Kind,
    signature: Signature,
}

impl Kind {
    fn udf(self) -> ScalarUDF {
        ScalarUDF::from(TimeWindowFunction {
            kind: self,
            signature: Signature::variadic_any(Volatility::Immutable),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Window => WINDOW,
            Kind::SessionWindow => SESSION_WINDOW,
            Kind::WindowTime => "window_time",
            Kind::WindowStart => "window start",
            Kind::WindowStarts => "window starts",
            Kind::MarkedStart => "marked window start",
            Kind::WindowOf => "window of",
        }
    }
}

impl ScalarUDFImpl for TimeWindowFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal("the type of a window comes with its field".to_owned()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let first = args.arg_fields.first().ok_or_else(|| self.wrong_arguments())?;
        let field = |data_type, metadata: FieldMetadata| {
            Arc::new(Field::new(self.name(), data_type, true).with_metadata(metadata))
        };
        let duration = |index: usize| {
            let value = args.scalar_arguments.get(index).copied().flatten();
            value.map_or_else(|| Err(self.wrong_arguments()), interval_us)
        };
        let metadata = event_time::of_source(first);
        Ok(match self.kind {
            Kind::Window => field(window_type(&time_type(first.data_type())?), metadata),
            Kind::SessionWindow => {
                field(window_type(&time_type(first.data_type())?), event_time::with_session(metadata))
            }
            Kind::WindowTime => field(time_type(first.data_type())?, metadata),
            Kind::WindowStart => {
                let metadata = event_time::with_window_us(metadata, duration(1)?);
                field(time_type(first.data_type())?, metadata)
            }
            Kind::WindowStarts => {
                let element = Field::new("item", time_type(first.data_type())?, true);
                field(DataType::List(Arc::new(element)), FieldMetadata::new())
            }
            Kind::MarkedStart => {
                let time = args.arg_fields.get(1).ok_or_else(|| self.wrong_arguments())?;
                let metadata = event_time::with_window_us(event_time::of_source(time), duration(2)?);
                field(first.data_type().clone(), metadata)
            }
            Kind::WindowOf => field(window_type(first.data_type()), metadata),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.args.first().ok_or_else(|| self.wrong_arguments())?.to_array(args.number_rows)?;
        let mut arguments = args.args.iter().skip(1).map(|argument| match argument {
            ColumnarValue::Scalar(value) => interval_us(value),
            ColumnarValue::Array(_) => Err(self.wrong_arguments()),
        });
        let result: ArrayRef = match self.kind {
            Kind::Window => {
                let spec = WindowSpec::new(&arguments.collect::<Result<Vec<_>>>()?)?;
                let start = map(&times(&first)?, |time| spec.last_start(time));
                windows(&start, spec.duration_us)
            }
            Kind::SessionWindow => {
                let time = times(&first)?;
                let gap = args.args.get(1).ok_or_else(|| self.wrong_arguments())?;
                session_windows(&time, &gaps(gap, args.number_rows)?)?
            }
            Kind::WindowTime => Arc::new(times(&first)?),
            Kind::WindowStart => {
                let spec = WindowSpec::new(&arguments.collect::<Result<Vec<_>>>()?)?;
                Arc::new(map(&times(&first)?, |time| spec.last_start(time)))
            }
            Kind::WindowStarts => {
                let spec = WindowSpec::new(&arguments.collect::<Result<Vec<_>>>()?)?;
                lists_of_starts(&times(&first)?, spec)
            }
            Kind::MarkedStart => first,
            Kind::WindowOf => {
                let duration = arguments.next().ok_or_else(|| self.wrong_arguments())??;
                windows(&times(&first)?, duration)
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

impl TimeWindowFunction {
    fn wrong_arguments(&self) -> DataFusionError {
        DataFusionError::Plan(format!(
            "`{}` takes a timestamp and constant intervals such as '10 minutes'",
            self.kind.name()
        ))
    }
}

/// The type of the time in a column: its own, or that of a window's ends.
fn time_type(data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(data_type.clone()),
        DataType::Struct(fields) => match fields.iter().find(|field| field.name() == "end") {
            Some(end) => time_type(end.data_type()),
            None => Err(not_a_time(data_type)),
        },
        _ => Err(not_a_time(data_type)),
    }
}

fn not_a_time(data_type: &DataType) -> DataFusionError {
    DataFusionError::Plan(format!(
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] a window is of a \"TIMESTAMP\", not of {data_type}; CAST it or use \
         to_timestamp. SQLSTATE: 42K09"
    ))
}

pub(crate) fn window_type(time: &DataType) -> DataType {
    DataType::Struct(window_fields(time))
}

fn window_fields(time: &DataType) -> Fields {
    Fields::from(vec![Field::new("start", time.clone(), true), Field::new("end", time.clone(), true)])
}

type Times = PrimitiveArray<TimestampMicrosecondType>;

/// The times of a column; of windows, their last microsecond.
fn times(column: &ArrayRef) -> Result<Times> {
    if let Some(windows) = column.as_struct_opt() {
        let end = windows.column_by_name("end").ok_or_else(|| not_a_time(column.data_type()))?;
        return Ok(map(&times(end)?, |end| end.saturating_sub(1)));
    }
    let times = column.as_primitive_opt::<TimestampMicrosecondType>();
    times.cloned().ok_or_else(|| not_a_time(column.data_type()))
}

fn map(times: &Times, f: impl Fn(i64) -> i64) -> Times {
    times.unary::<_, TimestampMicrosecondType>(f).with_data_type(times.data_type().clone())
}

fn windows(start: &Times, duration_us: i64) -> ArrayRef {
    let end = map(start, |start| start.saturating_add(duration_us));
    struct_of(start.clone(), end)
}

fn struct_of(start: Times, end: Times) -> ArrayRef {
    let fields = window_fields(start.data_type());
    let nulls = start.nulls().cloned();
    Arc::new(StructArray::new(fields, vec![Arc::new(start), Arc::new(end)], nulls))
}

fn lists_of_starts(times: &Times, spec: WindowSpec) -> ArrayRef {
    let element = Field::new("item", times.data_type().clone(), true);
    let builder =
        PrimitiveBuilder::<TimestampMicrosecondType>::new().with_data_type(times.data_type().clone());
    let mut lists = ListBuilder::new(builder).with_field(Arc::new(element));
    for time in times {
        if let Some(time) = time {
            spec.starts(time).for_each(|start| lists.values().append_value(start));
        }
        lists.append(time.is_some());
    }
    Arc::new(lists.finish())
}

/// The gap of each row: one for all, or an expression.
fn gaps(gap: &ColumnarValue, rows: usize) -> Result<Int64Array> {
    if let ColumnarValue::Scalar(value) = gap {
        let gap = interval_us(value)?;
        if gap <= 0 {
            return Err(DataFusionError::Plan(format!(
                "the gap of a session is longer than 0, not {gap} µs"
            )));
        }
        return Ok(Int64Array::from_value(gap, rows));
    }
    let texts = gap.to_array(rows)?;
    let gaps = (0..rows).map(|row| match texts.is_null(row) {
        true => Ok(None),
        false => interval_us(&ScalarValue::try_from_array(&texts, row)?).map(Some),
    });
    gaps.collect()
}

/// Each row alone in its session. A gap that is not longer than 0 makes none, as in Spark.
fn session_windows(times: &Times, gaps: &Int64Array) -> Result<ArrayRef> {
    let ends = times.iter().zip(gaps).map(|(time, gap)| {
        let end = time?.checked_add(gap.filter(|gap| *gap > 0)?)?;
        Some(end)
    });
    let ends: Times = ends.collect::<Times>().with_data_type(times.data_type().clone());
    let starts = times.iter().zip(&ends).map(|(time, end)| end.and(time));
    let starts: Times = starts.collect::<Times>().with_data_type(times.data_type().clone());
    Ok(struct_of(starts, ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn spec(arguments: &[i64]) -> WindowSpec {
        WindowSpec::new(arguments).unwrap()
    }

    fn starts(spec: WindowSpec, time_us: i64) -> Vec<i64> {
        spec.starts(time_us).map(|start| start / SECOND).collect()
    }

    #[test]
    fn a_time_is_in_one_tumbling_window() {
        let tumbling = spec(&[10 * SECOND]);
        for (time, start) in [(0, 0), (9_999_999, 0), (10 * SECOND, 10), (-1, -10), (-10 * SECOND, -10)] {
            assert_eq!(starts(tumbling, time), [start], "{time}");
        }
    }

    #[test]
    fn a_time_is_in_each_window_that_slides_over_it() {
        let sliding = spec(&[10 * SECOND, 5 * SECOND]);
        assert_eq!(starts(sliding, 12 * SECOND), [10, 5]);
        assert_eq!(starts(sliding, -SECOND), [-5, -10]);
        // A slide that does not divide the duration: some times are in one window less.
        let uneven = spec(&[10 * SECOND, 4 * SECOND]);
        assert_eq!(starts(uneven, 11 * SECOND), [8, 4]);
        assert_eq!(starts(uneven, 9 * SECOND), [8, 4, 0]);
    }

    #[test]
    fn the_start_time_shifts_windows() {
        assert_eq!(starts(spec(&[10 * SECOND, 10 * SECOND, 2 * SECOND]), 11 * SECOND), [2]);
        assert_eq!(starts(spec(&[10 * SECOND, 10 * SECOND, -2 * SECOND]), 9 * SECOND), [8]);
    }

    #[test]
    fn windows_that_make_no_sense_are_refused() {
        for arguments in [&[0][..], &[10, 0], &[10, 20], &[10, 5, 5], &[1_000_000, 1]] {
            WindowSpec::new(arguments).unwrap_err();
        }
    }
}
