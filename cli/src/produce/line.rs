//! A line as headers, key and value, in the order that `kafka-console-producer` reads them in.

const HEADERS_SEPARATOR: &[u8] = b"\t";

#[derive(Debug, Clone, Copy)]
pub(super) struct LineParser<'a> {
    pub(super) parse_headers: bool,
    pub(super) key_separator: Option<&'a str>,
    pub(super) null_marker: Option<&'a str>,
}

/// Name and value.
type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A line has no separator where one should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no `{}` after {what} in `{quote}`", separator.escape_debug())]
pub(super) struct MissingSeparator {
    separator: String,
    what: &'static str,
    /// The line, or its beginning.
    quote: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedLine<'a> {
    pub(super) headers: Vec<Header<'a>>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

impl LineParser<'_> {
    pub(super) fn parse<'l>(&self, line: &'l [u8]) -> Result<ParsedLine<'l>, MissingSeparator> {
        let (headers, rest) = match self.parse_headers {
            true => {
                let (headers, rest) = self.cut(line, HEADERS_SEPARATOR, "headers")?;
                (self.headers(headers, line)?, rest)
            }
            false => (Vec::new(), line),
        };
        let (key, value) = match self.key_separator {
            Some(separator) => {
                let (key, value) = self.cut(rest, separator.as_bytes(), "a key")?;
                (self.nullable(key), value)
            }
            None => (None, rest),
        };
        Ok(ParsedLine { headers, key, value: self.nullable(value) })
    }

    fn headers<'l>(&self, headers: &'l [u8], line: &[u8]) -> Result<Vec<Header<'l>>, MissingSeparator> {
        if headers.is_empty() || self.nullable(headers).is_none() {
            return Ok(Vec::new());
        }
        let header = |header: &'l [u8]| {
            let (name, value) =
                split_once(header, b":").ok_or_else(|| missing(line, b":", "a header's name"))?;
            Ok((name, self.nullable(value)))
        };
        headers.split(|byte| *byte == b',').map(header).collect()
    }

    fn cut<'l>(
        &self,
        line: &'l [u8],
        separator: &[u8],
        what: &'static str,
    ) -> Result<(&'l [u8], &'l [u8]), MissingSeparator> {
        split_once(line, separator).ok_or_else(|| missing(line, separator, what))
    }

    fn nullable<'l>(&self, text: &'l [u8]) -> Option<&'l [u8]> {
        Some(text).filter(|text| self.null_marker.is_none_or(|marker| *text != marker.as_bytes()))
    }
}

fn split_once<'l>(text: &'l [u8], separator: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

fn missing(line: &[u8], separator: &[u8], what: &'static str) -> MissingSeparator {
    let quote = String::from_utf8_lossy(line).chars().take(60).collect();
    MissingSeparator { separator: String::from_utf8_lossy(separator).into_owned(), what, quote }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser(parse_headers: bool) -> LineParser<'static> {
        LineParser { parse_headers, key_separator: Some(":"), null_marker: Some("NULL") }
    }

    #[test]
    fn headers_come_first_then_the_key_then_the_value() {
        let parsed = parser(true).parse(b"a:1,b:NULL\tkey:value:more").unwrap();
        let headers: Vec<Header<'_>> = vec![(b"a", Some(b"1")), (b"b", None)];
        assert_eq!(parsed, ParsedLine { headers, key: Some(b"key"), value: Some(b"value:more") });
    }

    #[test]
    fn the_null_marker_stands_for_null() {
        let parsed = parser(false).parse(b"NULL:NULL").unwrap();
        assert_eq!(parsed, ParsedLine { headers: Vec::new(), key: None, value: None });
    }

    #[test]
    fn a_line_without_its_separator_is_quoted() {
        let error = parser(false).parse(b"no separator").unwrap_err();
        assert_eq!(error.to_string(), "no `:` after a key in `no separator`");
        let error = parser(true).parse(b"a=1\tkey:value").unwrap_err();
        assert_eq!(error.to_string(), "no `:` after a header's name in `a=1\tkey:value`");
    }
}
