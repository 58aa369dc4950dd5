//! The options of Spark's JSON reader. Their names are not case-sensitive; unknown ones mean nothing, as in Spark.

use datafusion::arrow::array::timezone::Tz;
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::scanner::Dialect;
use crate::datetime::pattern::TimePatterns;
use crate::datetime::text;
use crate::datetime::zone::Zone;

/// What becomes of a record that does not fit the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// What does not fit is null.
    Permissive,
    FailFast,
}

#[derive(Clone, Debug)]
pub(crate) struct JsonOptions {
    pub(super) mode: Mode,
    /// The column that takes the text of a record that does not fit.
    pub(super) corrupt_record: String,
    pub(super) dialect: Dialect,
    pub(super) times: TimeReader,
}

impl JsonOptions {
    /// As [`JsonOptions::new`]; `time_zone` is the session's.
    pub(crate) fn of_session(given: &[(String, String)], time_zone: &str) -> Result<JsonOptions> {
        match Zone::named(time_zone) {
            Some(zone) => JsonOptions::new(given, zone),
            None => plan_error(format!("{time_zone} is no time zone")),
        }
    }

    /// How times are read.
    pub(crate) fn times(&self) -> &TimeReader {
        &self.times
    }

    /// `given` are the options as they were written; `zone` is the session's.
    pub(super) fn new(given: &[(String, String)], zone: Zone) -> Result<JsonOptions> {
        let options = GivenOptions(given);
        let flag = |name: &str, default: bool| options.flag(name, default);
        Ok(JsonOptions {
            mode: mode(options.get("mode"))?,
            corrupt_record: options.get("columnNameOfCorruptRecord").unwrap_or("_corrupt_record").to_owned(),
            dialect: Dialect {
                single_quotes: flag("allowSingleQuotes", true)?,
                unquoted_names: flag("allowUnquotedFieldNames", false)?,
                comments: flag("allowComments", false)?,
                leading_zeros: flag("allowNumericLeadingZeros", false)?,
                any_escape: flag("allowBackslashEscapingAnyCharacter", false)?,
                control_characters: flag("allowUnquotedControlChars", false)?,
                non_numeric: flag("allowNonNumericNumbers", true)?,
            },
            times: TimeReader {
                zone: options.zone()?.unwrap_or(zone),
                now_micros: 0,
                patterns: TimePatterns::from_options(|name| options.get(name))?,
            },
        })
    }
}

/// Options as they were written, of which the last of a name counts.
#[derive(Clone, Copy)]
pub(super) struct GivenOptions<'a>(pub(super) &'a [(String, String)]);

impl<'a> GivenOptions<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => plan_error(format!("the option {name} is true or false, not \"{value}\"")),
        }
    }

    /// The option `timeZone`.
    pub(super) fn zone(self) -> Result<Option<Zone>> {
        match self.get("timeZone") {
            None => Ok(None),
            Some(name) => match Zone::named(name) {
                Some(zone) => Ok(Some(zone)),
                None => plan_error(format!("the option timeZone is no time zone: \"{name}\"")),
            },
        }
    }
}

/// The options in a call of `map` over literals.
pub(super) fn of_map(expr: &Expr) -> Result<Vec<(String, String)>> {
    let arguments = match expr {
        Expr::ScalarFunction(function) if function.name() == "map" => &function.args,
        _ => {
            return plan_err!(
                "[INVALID_OPTIONS.NON_MAP_FUNCTION] Invalid options: Must use the `map()` function for options. SQLSTATE: \
                 42K06"
            );
        }
    };
    let text = |expr: &Expr| match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [key, value] => Some((text(key)?, text(value)?)),
        _ => None,
    });
    match pairs.collect() {
        Some(pairs) => Ok(pairs),
        None => plan_err!(
            "[INVALID_OPTIONS.NON_STRING_TYPE] Invalid options: A type of keys and values in `map()` must be string. \
             SQLSTATE: 42K06"
        ),
    }
}

/// An unknown mode is the default one, with a warning, as in Spark.
fn mode(name: Option<&str>) -> Result<Mode> {
    match name.map(str::to_uppercase).as_deref() {
        None | Some("PERMISSIVE") => Ok(Mode::Permissive),
        Some("FAILFAST") => Ok(Mode::FailFast),
        Some("DROPMALFORMED") => plan_error(
            "[PARSE_MODE_UNSUPPORTED] The function `from_json` doesn't support the DROPMALFORMED mode. Acceptable modes \
             are PERMISSIVE and FAILFAST. SQLSTATE: 42601"
                .to_owned(),
        ),
        Some(other) => {
            tracing::warn!("{other} is not a valid parse mode. Using PERMISSIVE.");
            Ok(Mode::Permissive)
        }
    }
}

fn plan_error<T>(message: String) -> Result<T> {
    Err(DataFusionError::Plan(message))
}

/// Reads times as the options say.
#[derive(Clone, Debug)]
pub(crate) struct TimeReader {
    zone: Zone,
    /// For times without a date.
    pub(super) now_micros: i64,
    patterns: TimePatterns,
}

impl TimeReader {
    pub(super) fn time_zone(&self) -> Tz {
        self.zone.zone
    }

    /// Microseconds.
    #[inline]
    pub(crate) fn timestamp(&self, text: &str) -> Option<i64> {
        match &self.patterns.timestamp {
            None => text::timestamp(text, self.zone, self.now_micros),
            Some(pattern) => pattern.timestamp(text, self.zone),
        }
    }

    pub(crate) fn timestamp_ntz(&self, text: &str) -> Option<i64> {
        match &self.patterns.timestamp_ntz {
            None => text::timestamp_without_zone(text),
            Some(pattern) => pattern.local_timestamp(text),
        }
    }

    /// Days. Without a pattern, a number is one of days, as in the oldest Sparks.
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        match &self.patterns.date {
            None => text::date(text).or_else(|| text.parse().ok()),
            Some(pattern) => pattern.date(text),
        }
    }
}
