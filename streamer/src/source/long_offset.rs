//! Offsets that are one number: of what was added last, -1 before anything was. Spark's `LongOffset`.

use super::{Offset, SourceError};

pub(super) const NOTHING: i64 = -1;

pub(super) fn parse(json: &str, description: &str) -> Result<i64, SourceError> {
    json.trim()
        .parse()
        .map_err(|_| SourceError::Offset { json: json.to_owned(), description: description.to_owned() })
}

pub(super) fn parse_or_nothing(offset: Option<&Offset>, description: &str) -> Result<i64, SourceError> {
    offset.map_or(Ok(NOTHING), |offset| parse(&offset.0, description))
}

pub(super) fn offset(number: i64) -> Offset {
    Offset(number.to_string())
}
