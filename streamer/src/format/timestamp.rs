//! Dates and timestamps in the session's time zone.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::TimeUnit;

/// `2013-07-01 10:00:00.123`: the fraction without trailing zeros, as Spark casts.
pub fn text(timestamp: NaiveDateTime) -> String {
    let whole = timestamp.format("%Y-%m-%d %H:%M:%S");
    let micros = timestamp.nanosecond() % 1_000_000_000 / 1_000;
    if micros == 0 {
        return whole.to_string();
    }
    let fraction = format!("{micros:06}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// `2013-07-01T10:00:00.123+02:00`, or `Z`: the pattern `yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]`.
pub fn iso(timestamp: &DateTime<Tz>) -> String {
    let local = iso_local(timestamp.naive_local());
    match timestamp.offset().fix().local_minus_utc() {
        0 => format!("{local}Z"),
        _ => format!("{local}{}", timestamp.format("%:z")),
    }
}

/// As [`iso`], for a timestamp that knows no zone.
pub fn iso_local(timestamp: NaiveDateTime) -> String {
    timestamp.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// Local time for a timestamp without a zone; `None` beyond the calendar.
pub fn naive(value: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    instant(value, unit).map(|instant| instant.naive_utc())
}

pub fn zoned(value: i64, unit: TimeUnit, time_zone: &Tz) -> Option<DateTime<Tz>> {
    instant(value, unit).map(|instant| time_zone.from_utc_datetime(&instant.naive_utc()))
}

/// Since 1970; `None` beyond the calendar.
pub fn micros(value: i64, unit: TimeUnit) -> Option<i64> {
    instant(value, unit).map(|instant| instant.timestamp_micros())
}

fn instant(value: i64, unit: TimeUnit) -> Option<DateTime<chrono::Utc>> {
    match unit {
        TimeUnit::Second => DateTime::from_timestamp(value, 0),
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(value),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(value),
        TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_session_s_zone() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let summer = zoned(1_372_665_600_123_000, TimeUnit::Microsecond, &berlin).unwrap();
        assert_eq!(text(summer.naive_local()), "2013-07-01 10:00:00.123");
        assert_eq!(iso(&summer), "2013-07-01T10:00:00.123+02:00");
        let utc = zoned(1_372_665_600, TimeUnit::Second, &"UTC".parse().unwrap()).unwrap();
        assert_eq!(text(utc.naive_local()), "2013-07-01 08:00:00");
        assert_eq!(iso(&utc), "2013-07-01T08:00:00.000Z");
        let early = naive(-1_000, TimeUnit::Microsecond).unwrap();
        assert_eq!(text(early), "1969-12-31 23:59:59.999");
    }
}
