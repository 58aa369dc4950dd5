//! Dates and timestamps as Spark reads and writes them: microseconds since 1970 in UTC, days since 1970, always in the
//! proleptic Gregorian calendar.

pub(crate) mod civil;
pub(crate) mod pattern;
mod pattern_format;
mod pattern_parse;
pub(crate) mod text;
pub(crate) mod zone;
