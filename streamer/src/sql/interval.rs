//! Interval literals, in the forms that the parser does not have: `INTERVAL 1 MINUTE 30 SECONDS`,
//! `INTERVAL '1:30' MINUTE TO SECOND`.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::is_word;

/// Some units of time, with how many of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    parts: Vec<(String, &'static Unit)>,
    /// How many tokens it was.
    pub(super) tokens: usize,
    is_plain: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Unit {
    name: &'static str,
    us: i64,
}

/// From the longest; a month has 31 days, as in Spark's delays.
const UNITS: &[Unit] = &[
    Unit { name: "year", us: 12 * 31 * DAY_US },
    Unit { name: "month", us: 31 * DAY_US },
    Unit { name: "week", us: 7 * DAY_US },
    Unit { name: "day", us: DAY_US },
    Unit { name: "hour", us: 3_600_000_000 },
    Unit { name: "minute", us: 60_000_000 },
    Unit { name: "second", us: 1_000_000 },
    Unit { name: "millisecond", us: 1_000 },
    Unit { name: "microsecond", us: 1 },
];

const DAY_US: i64 = 86_400_000_000;

impl Interval {
    /// Reads what stands behind the word INTERVAL; if that is no interval with units, the place of the token that
    /// does not fit.
    pub(super) fn parse(tokens: &[TokenWithSpan]) -> Result<Interval, usize> {
        let mut parts = Vec::new();
        let mut place = 0;
        let mut is_plain = true;
        loop {
            let sign = match tokens.get(place).map(|token| &token.token) {
                Some(Token::Minus) => "-",
                Some(Token::Plus) => "+",
                _ => "",
            };
            let value_place = place + sign.len();
            let value = match tokens.get(value_place).map(|token| &token.token) {
                Some(Token::Number(value, false)) => value.clone(),
                Some(Token::SingleQuotedString(value)) => value.trim().to_owned(),
                _ if parts.is_empty() => return Err(value_place),
                _ => break,
            };
            let Some(first) = unit_at(tokens, value_place + 1) else {
                return Err(value_place + 1);
            };
            place = value_place + 2;
            is_plain &= sign.is_empty() && parts.is_empty();
            if parts.is_empty() && tokens.get(place).is_some_and(|token| is_word(&token.token, "to")) {
                let last = unit_at(tokens, place + 1).ok_or(place + 1)?;
                parts = unit_to_unit(&value, first, last).ok_or(value_place)?;
                (place, is_plain) = (place + 2, false);
                break;
            }
            let minus = if sign == "-" { "-" } else { "" };
            parts.push((format!("{minus}{value}"), first));
        }
        Ok(Interval { parts, tokens: place, is_plain })
    }

    /// Whether the parser reads it as it stands.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// `1 minute 30 second`
    pub(super) fn text(&self) -> String {
        let parts: Vec<_> = self.parts.iter().map(|(value, unit)| format!("{value} {}", unit.name)).collect();
        parts.join(" ")
    }

    /// `None` if it is no number of milliseconds.
    pub(super) fn ms(&self) -> Option<i64> {
        let mut us = 0_i64;
        for (value, unit) in &self.parts {
            let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
            let whole_us = whole.parse::<i64>().ok()?.checked_mul(unit.us)?;
            let fraction_us = match fraction {
                "" => 0,
                digits => (format!("0.{digits}").parse::<f64>().ok()? * unit.us as f64) as i64,
            };
            let part = if whole.starts_with('-') { whole_us - fraction_us } else { whole_us + fraction_us };
            us = us.checked_add(part)?;
        }
        Some(us / 1_000)
    }
}

fn unit_at(tokens: &[TokenWithSpan], place: usize) -> Option<&'static Unit> {
    let token = &tokens.get(place)?.token;
    UNITS.iter().find(|unit| is_word(token, unit.name) || is_word(token, &format!("{}s", unit.name)))
}

/// `1:30` from minutes to seconds; `1 2:03` from days to minutes; `1-2` from years to months.
fn unit_to_unit(value: &str, first: &Unit, last: &Unit) -> Option<Vec<(String, &'static Unit)>> {
    let place = |unit: &Unit| UNITS.iter().position(|known| known.name == unit.name);
    let units: Vec<&Unit> =
        UNITS.get(place(first)?..=place(last)?)?.iter().filter(|unit| unit.name != "week").collect();
    let (minus, digits) = match value.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", value),
    };
    let values: Vec<&str> = digits.split([' ', ':', '-']).collect();
    let fits = values.len() == units.len() && units.len() > 1;
    fits.then(|| values.iter().map(|value| format!("{minus}{value}")).zip(units).collect())
}

/// Puts intervals that the parser does not read into one string each.
pub(super) fn plain(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut plain = Vec::with_capacity(tokens.len());
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        plain.push(token.clone());
        place += 1;
        let behind = tokens.get(place..).unwrap_or_default();
        if is_word(&token.token, "interval")
            && let Ok(interval) = Interval::parse(behind)
            && !interval.is_plain()
            && let Some(first) = behind.first()
        {
            plain.push(TokenWithSpan::new(Token::SingleQuotedString(interval.text()), first.span));
            place += interval.tokens;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens::tokenize;

    fn interval(text: &str) -> Result<(String, Option<i64>), usize> {
        let tokens = tokenize(text).unwrap().tokens;
        Interval::parse(&tokens).map(|interval| (interval.text(), interval.ms()))
    }

    #[test]
    fn intervals_are_read_in_spark_s_forms() {
        for (text, plain, ms) in [
            ("10 SECONDS", "10 second", 10_000),
            ("'10' second", "10 second", 10_000),
            ("1 MINUTE 30 SECONDS", "1 minute 30 second", 90_000),
            ("'1:30' MINUTE TO SECOND", "1 minute 30 second", 90_000),
            ("'1 02:03:04.5' DAY TO SECOND", "1 day 02 hour 03 minute 04.5 second", 93_784_500),
            ("'1-2' YEAR TO MONTH", "1 year 2 month", 14 * 31 * 86_400_000),
            ("-1 DAY", "-1 day", -86_400_000),
            ("0.5 SECONDS", "0.5 second", 500),
            ("2 WEEKS)", "2 week", 1_209_600_000),
        ] {
            assert_eq!(interval(text), Ok((plain.to_owned(), Some(ms))), "{text}");
        }
        assert_eq!(interval("'10 seconds'"), Err(1));
        assert_eq!(interval("ts"), Err(0));
        assert_eq!(interval("5 apples"), Err(1));
    }
}
