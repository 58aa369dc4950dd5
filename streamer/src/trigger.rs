//! When the next micro-batch begins.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A batch each interval, where there is data; with an interval of zero as soon as the one before is done.
    ProcessingTime(Duration),
    /// One batch with all that is there.
    Once,
    /// All that was there at the start, in as many batches as the source's limits ask for.
    AvailableNow,
}

#[derive(Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no trigger; write available-now, once, or an interval such as '5 seconds'")]
pub struct TriggerError {
    text: String,
}

impl FromStr for Trigger {
    type Err = TriggerError;

    fn from_str(text: &str) -> Result<Trigger, TriggerError> {
        match text.trim().to_lowercase().as_str() {
            "available-now" | "availablenow" => Ok(Trigger::AvailableNow),
            "once" => Ok(Trigger::Once),
            interval => parse_interval(interval)
                .map(Trigger::ProcessingTime)
                .ok_or_else(|| TriggerError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::ProcessingTime(interval) => write!(f, "{} milliseconds", interval.as_millis()),
            Trigger::Once => f.write_str("once"),
            Trigger::AvailableNow => f.write_str("available-now"),
        }
    }
}

/// Spark's interval text: `5 seconds`, `1 minute 30 seconds`, with or without `interval` in front.
fn parse_interval(text: &str) -> Option<Duration> {
    let mut words = text.split_whitespace().peekable();
    words.next_if_eq(&"interval");
    words.peek()?;
    let mut total = Duration::ZERO;
    while let Some(count) = words.next() {
        let count: u64 = count.parse().ok()?;
        let unit_us: u64 = match words.next()?.trim_end_matches('s') {
            "microsecond" => 1,
            "millisecond" => 1_000,
            "second" => 1_000_000,
            "minute" => 60_000_000,
            "hour" => 3_600_000_000,
            "day" => 86_400_000_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_micros(count.checked_mul(unit_us)?))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_spark_reads() {
        let every = |ms| Ok(Trigger::ProcessingTime(Duration::from_millis(ms)));
        assert_eq!("5 seconds".parse(), every(5_000));
        assert_eq!("INTERVAL 1 minute 30 seconds".parse(), every(90_000));
        assert_eq!("500 milliseconds".parse(), every(500));
        assert_eq!("0 seconds".parse(), every(0));
        assert_eq!("once".parse(), Ok(Trigger::Once));
        assert_eq!("available-now".parse(), Ok(Trigger::AvailableNow));
    }

    #[test]
    fn names_what_it_cannot_read() {
        for text in ["", "interval", "5", "5 parsecs", "-1 seconds", "99999999999999999999 days"] {
            let error = text.parse::<Trigger>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
