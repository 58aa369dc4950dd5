//! Durations as Spark's options have them: `50s`, `100ms`, `15m`, `7d`. Spark's `JavaUtils.timeStringAs`.

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour (h), or day \
     (d). E.g. 50s, 100ms, or 250us.\nFailed to parse time string: {text}"
)]
pub struct DurationTextError {
    text: String,
}

/// Microseconds; a number without a unit counts `default_unit_us`.
fn parse_us(text: &str, default_unit_us: i64) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at_checked(digits)?;
    let unit_us = match unit {
        "" => default_unit_us,
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_us)
}

/// Whole seconds; a number without a unit is one of seconds.
pub fn parse_seconds(text: &str) -> Option<i64> {
    Some(parse_us(text, 1_000_000)? / 1_000_000)
}

/// Whole milliseconds; a number without a unit is one of milliseconds.
pub fn parse_ms(text: &str) -> Result<i64, DurationTextError> {
    match parse_us(text, 1_000) {
        Some(us) => Ok(us / 1_000),
        None => Err(DurationTextError { text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_spark_s() {
        assert_eq!(
            ["15m", "7d", "90", "2500us", "1h"].map(parse_ms),
            [900_000, 604_800_000, 90, 2, 3_600_000].map(Ok)
        );
        assert_eq!(["5", "-1s", "2min"].map(parse_seconds), [Some(5), Some(-1), Some(120)]);
        for text in ["", "x", "5 parsecs", "9999999999999999999d", "9223372036854775807d", "1.5s"] {
            let error = parse_ms(text).unwrap_err().to_string();
            assert!(error.ends_with(&format!("Failed to parse time string: {text}")), "{error}");
        }
    }
}
