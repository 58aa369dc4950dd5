//! Patterns for dates and times: `yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]`. Spark's "Datetime Patterns for Formatting and
//! Parsing", which are Java's with some letters left out; texts are English.

use datafusion::error::{DataFusionError, Result};

use super::civil::MICROS_PER_DAY;
use super::pattern_parse::Parsed;
use super::zone::Zone;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From the first of January 1970 on, which was a Thursday.
pub(super) const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Longer patterns are refused.
const MAX_BYTES: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    items: Vec<Item>,
}

/// The patterns that options such as `timestampFormat` give for the types of times; without one, Spark's own forms count.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimePatterns {
    pub(crate) timestamp: Option<Pattern>,
    pub(crate) timestamp_ntz: Option<Pattern>,
    pub(crate) date: Option<Pattern>,
}

impl TimePatterns {
    /// `option` gives what was written for an option.
    pub(crate) fn from_options<'a>(option: impl Fn(&str) -> Option<&'a str>) -> Result<TimePatterns> {
        let pattern = |name| option(name).map(Pattern::parse).transpose();
        Ok(TimePatterns {
            timestamp: pattern("timestampFormat")?,
            timestamp_ntz: pattern("timestampNTZFormat")?,
            date: pattern("dateFormat")?,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Literal(String),
    Field {
        letter: char,
        count: usize,
    },
    /// In brackets.
    Optional(Vec<Item>),
}

impl Item {
    /// Whether digits alone are read for it.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Item::Field { letter: 'M' | 'L' | 'Q' | 'q', count } => *count <= 2,
            Item::Field { letter, .. } => "yudDHhKkmsSF".contains(*letter),
            _ => false,
        }
    }
}

/// What Spark says of a pattern that it does not take.
fn refused(pattern: &str, why: &str) -> DataFusionError {
    DataFusionError::Plan(format!(
        "[INVALID_DATETIME_PATTERN] Unrecognized datetime pattern: '{pattern}': {why}. Retry with a valid datetime \
         pattern, see 'https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html'. SQLSTATE: 22007"
    ))
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Pattern> {
        if text.len() > MAX_BYTES {
            return Err(refused("…", "it is too long"));
        }
        let chars: Vec<char> = text.chars().collect();
        let mut rest = chars.as_slice();
        let items = items(&mut rest, 0, text)?;
        Ok(Pattern { items })
    }

    /// A timestamp, in microseconds, as text in this zone.
    pub(crate) fn format(&self, micros: i64, zone: Zone) -> String {
        let mut out = String::new();
        super::pattern_format::format(&self.items, micros, zone, &mut out);
        out
    }

    /// As [`format`](Pattern::format), for a type without a zone.
    pub(crate) fn format_local(&self, local_micros: i64, zone: Zone) -> String {
        let mut out = String::new();
        super::pattern_format::format_local(&self.items, local_micros, zone, &mut out);
        out
    }

    /// Microseconds; the text's own zone goes before `zone`. `None` where the text is not of this pattern.
    pub(crate) fn timestamp(&self, text: &str, zone: Zone) -> Option<i64> {
        let parsed = Parsed::read(&self.items, text)?;
        let local = parsed.local_micros()?;
        parsed.zone.unwrap_or(zone).to_utc(local)
    }

    /// As [`timestamp`](Pattern::timestamp), for a type without a zone.
    pub(crate) fn local_timestamp(&self, text: &str) -> Option<i64> {
        Parsed::read(&self.items, text)?.local_micros()
    }

    /// Days.
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        let micros = Parsed::read(&self.items, text)?.local_micros()?;
        i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
    }
}

/// Up to the closing bracket of an optional part, or to the end.
fn items(rest: &mut &[char], depth: usize, pattern: &str) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        *rest = behind;
        match first {
            '\'' => push_literal(&mut items, &quoted(rest, pattern)?),
            '[' if depth < 10 => items.push(Item::Optional(self::items(rest, depth + 1, pattern)?)),
            ']' if depth > 0 => return Ok(items),
            '[' | ']' | '{' | '}' | '#' => {
                return Err(refused(pattern, &format!("'{first}' is not expected")));
            }
            letter if letter.is_ascii_alphabetic() => {
                let more = rest.iter().take_while(|next| *next == letter).count();
                *rest = rest.get(more..).unwrap_or_default();
                items.push(field(*letter, more + 1, pattern)?);
            }
            literal => push_literal(&mut items, &literal.to_string()),
        }
    }
    if depth > 0 { Err(refused(pattern, "a bracket is not closed")) } else { Ok(items) }
}

fn push_literal(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Literal(literal)) => literal.push_str(text),
        _ => items.push(Item::Literal(text.to_owned())),
    }
}

/// Two quotes in a row stand for one, inside of a literal or out of it.
fn quoted(rest: &mut &[char], pattern: &str) -> Result<String> {
    let mut text = String::new();
    while let Some((first, behind)) = rest.split_first() {
        *rest = behind;
        match first {
            '\'' if rest.first() == Some(&'\'') => {
                text.push('\'');
                *rest = rest.get(1..).unwrap_or_default();
            }
            '\'' if text.is_empty() => return Ok("'".to_owned()),
            '\'' => return Ok(text),
            other => text.push(*other),
        }
    }
    Err(refused(pattern, "a quote is not closed"))
}

fn field(letter: char, count: usize, pattern: &str) -> Result<Item> {
    let max = match letter {
        'y' | 'u' => 6,
        'S' => 9,
        'M' | 'L' | 'E' | 'G' | 'Q' | 'q' => 4,
        'D' | 'x' | 'X' | 'Z' => {
            if letter == 'D' {
                3
            } else {
                5
            }
        }
        'd' | 'H' | 'h' | 'K' | 'k' | 'm' | 's' | 'V' => 2,
        'O' | 'z' => 4,
        'a' | 'F' => 1,
        'Y' | 'W' | 'w' | 'e' | 'c' => {
            return Err(refused(
                pattern,
                &format!("all week-based patterns are unsupported since Spark 3.0, detected: {letter}"),
            ));
        }
        _ => return Err(refused(pattern, &format!("illegal pattern character: {letter}"))),
    };
    let fits = count <= max && (letter != 'V' || count == 2) && (letter != 'O' || matches!(count, 1 | 4));
    if !fits {
        return Err(refused(pattern, &format!("too many or too few pattern letters: {letter}")));
    }
    Ok(Item::Field { letter, count })
}
