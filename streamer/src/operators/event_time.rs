//! How a column says that it is event time: by its field's metadata, which projections hand on.

use std::collections::HashMap;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};

/// Spark's `EventTimeWatermark.delayKey`.
const DELAY_MS: &str = "spark.watermarkDelayMs";
/// On the start of a window: how much later it ends, in microseconds.
const WINDOW_US: &str = "ottla.windowUs";
/// On a session window that grows with later rows.
const SESSION: &str = "ottla.sessionWindow";

pub(crate) type FieldMetadata = HashMap<String, String>;

pub(crate) fn delay_ms(metadata: &FieldMetadata) -> Option<i64> {
    metadata.get(DELAY_MS)?.parse().ok()
}

/// Marks a column as the event time of a watermark.
pub(crate) fn with_delay(field: &Field, delay_ms: i64) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(DELAY_MS.to_owned(), delay_ms.to_string());
    field.clone().with_metadata(metadata)
}

/// What a column computed from event time says of itself.
pub(crate) fn of_source(source: &Field) -> FieldMetadata {
    let delay = source.metadata().get(DELAY_MS);
    delay.map(|delay| (DELAY_MS.to_owned(), delay.clone())).into_iter().collect()
}

pub(crate) fn with_window_us(mut metadata: FieldMetadata, window_us: i64) -> FieldMetadata {
    metadata.insert(WINDOW_US.to_owned(), window_us.to_string());
    metadata
}

pub(crate) fn window_us(field: &Field) -> Option<i64> {
    field.metadata().get(WINDOW_US)?.parse().ok()
}

pub(crate) fn with_session(mut metadata: FieldMetadata) -> FieldMetadata {
    metadata.insert(SESSION.to_owned(), String::new());
    metadata
}

pub(crate) fn is_session(field: &Field) -> bool {
    field.metadata().contains_key(SESSION)
}

/// What can be event time.
pub(crate) fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, zone)
        if zone.as_ref().is_none_or(|zone| zone.parse::<Tz>().is_ok()))
}

/// A column among others by which old state is told from new: Spark's watermark predicate of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventTimeKey {
    /// Its place among the columns.
    pub(crate) column: usize,
    pub(crate) kind: EventTimeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventTimeKind {
    /// A timestamp; the row is old when the watermark has reached it plus so many microseconds.
    Instant { window_us: i64 },
    /// A struct of `start` and `end`; the row is old when the watermark has reached the end.
    Window,
}

impl EventTimeKey {
    /// The first of the columns that is event time.
    pub(crate) fn find<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Option<EventTimeKey> {
        fields.into_iter().enumerate().find_map(|(column, field)| {
            delay_ms(field.metadata())?;
            let kind = match field.data_type() {
                DataType::Struct(_) => EventTimeKind::Window,
                _ => EventTimeKind::Instant { window_us: window_us(field).unwrap_or(0) },
            };
            Some(EventTimeKey { column, kind })
        })
    }
}

/// When the watermark is done with each row, in microseconds.
pub(crate) fn ends(event_time: EventTimeKey, column: &ArrayRef) -> Result<Int64Array> {
    let (times, window_us) = match event_time.kind {
        EventTimeKind::Instant { window_us } => (column.clone(), window_us),
        EventTimeKind::Window => {
            let windows = column.as_struct_opt().ok_or_else(no_time)?;
            let end = windows.column_by_name("end").ok_or_else(no_time)?;
            (end.clone(), 0)
        }
    };
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(no_time)?;
    let times = times.iter().enumerate();
    let times = times.map(|(row, time)| time.filter(|_| column.is_valid(row)));
    Ok(times.map(|time| time.map(|time| time.saturating_add(window_us))).collect())
}

pub(crate) fn no_time() -> DataFusionError {
    DataFusionError::Internal("a key without its event time".to_owned())
}
