//! One record of CSV into its values, as Spark's parser (univocity) takes them apart.

/// The characters that mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvDialect {
    pub(super) separator: String,
    pub(super) quote: Option<char>,
    pub(super) escape: Option<char>,
    /// Whether white space around values that are not quoted is none of theirs.
    pub(super) trims_start: bool,
    pub(super) trims_end: bool,
    /// Whether a quoted value may have ends of lines in it.
    pub(super) multi_line: bool,
}

/// The values of one record.
#[derive(Debug, Default)]
pub(super) struct CsvRecord {
    values: Vec<CsvValue>,
    count: usize,
}

#[derive(Debug, Default)]
struct CsvValue {
    text: String,
    is_quoted: bool,
}

impl CsvRecord {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The value's text, and whether it was in quotes.
    pub(super) fn get(&self, place: usize) -> Option<(&str, bool)> {
        let value = self.values.get(place).filter(|_| place < self.count)?;
        Some((&value.text, value.is_quoted))
    }

    fn next(&mut self) -> &mut CsvValue {
        if self.values.len() == self.count {
            self.values.push(CsvValue::default());
        }
        self.count += 1;
        let last = self.count - 1;
        let value = &mut self.values[last];
        value.text.clear();
        value.is_quoted = false;
        value
    }
}

impl CsvDialect {
    /// Reads the record at the beginning of `text`, which is not empty; returns how many bytes it takes with its end.
    pub(super) fn parse(&self, text: &str, record: &mut CsvRecord) -> usize {
        record.count = 0;
        let mut at = 0;
        loop {
            let value = record.next();
            at += self.value(text.get(at..).unwrap_or_default(), value);
            let rest = text.get(at..).unwrap_or_default();
            if rest.starts_with(&self.separator) {
                at += self.separator.len();
            } else if self.multi_line && rest.starts_with("\r\n") {
                return at + 2;
            } else {
                // An end of a line, or of the text.
                return at + rest.len().min(1);
            }
        }
    }

    /// Reads one value, up to what ends it.
    fn value(&self, text: &str, value: &mut CsvValue) -> usize {
        let trimmed = if self.trims_start { text.trim_start_matches([' ', '\t']) } else { text };
        let skipped = text.len() - trimmed.len();
        if let Some(quote) = self.quote
            && let Some(quoted) = trimmed.strip_prefix(quote)
        {
            if let Some(taken) = self.quoted(quoted, quote, value) {
                value.is_quoted = true;
                return skipped + quote.len_utf8() + taken;
            }
            value.text.clear();
        }
        let end = self.end(trimmed);
        let plain = trimmed.get(..end).unwrap_or_default();
        let plain = if self.trims_end { plain.trim_end_matches([' ', '\t']) } else { plain };
        value.text.push_str(plain);
        skipped + end
    }

    /// What is behind the quote in front. `None` where something follows the quote at the end, which makes all of it a
    /// value without quotes. A quote that is never closed takes all that is left.
    fn quoted(&self, text: &str, quote: char, value: &mut CsvValue) -> Option<usize> {
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            // A quote before a quote is one, where quotes escape themselves; a backslash before another is one.
            let escapes_next = Some(character) == self.escape
                && (next == Some(quote) || next == self.escape && self.escape != Some(quote));
            if escapes_next {
                value.text.extend(next);
                characters.next();
            } else if character == quote {
                let behind = at + quote.len_utf8();
                let rest = text.get(behind..).unwrap_or_default();
                let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                let rest = rest.get(blank..).unwrap_or_default();
                let is_closed = rest.is_empty()
                    || rest.starts_with(&self.separator)
                    || self.multi_line && rest.starts_with(['\n', '\r']);
                return is_closed.then_some(behind + blank);
            } else {
                value.text.push(character);
            }
        }
        Some(text.len())
    }

    fn end(&self, text: &str) -> usize {
        let separator = text.find(&self.separator).unwrap_or(text.len());
        let line = if self.multi_line { text.find(['\n', '\r']) } else { None };
        separator.min(line.unwrap_or(text.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(separator: &str, escape: char) -> CsvDialect {
        CsvDialect {
            separator: separator.to_owned(),
            quote: Some('"'),
            escape: Some(escape),
            trims_start: false,
            trims_end: false,
            multi_line: false,
        }
    }

    fn parse(dialect: &CsvDialect, text: &str) -> Vec<String> {
        let mut record = CsvRecord::default();
        assert_eq!(dialect.parse(text, &mut record), text.len());
        (0..record.len()).map(|place| record.get(place).unwrap().0.to_owned()).collect()
    }

    /// Each as PySpark 4.1.1 has read it.
    #[test]
    fn values_are_taken_apart_as_spark_does() {
        let pipes = dialect("|", '\\');
        for (text, values) in [
            ("a|b ", &["a", "b "][..]),
            ("\"x|y\"| s ", &["x|y", " s "]),
            ("'q'|\"a\\\\b\"", &["'q'", "a\\b"]),
            ("\"\"|", &["", ""]),
            ("\"open|x", &["open|x"]),
            ("a\"b|c\"\"d", &["a\"b", "c\"\"d"]),
            ("\\\"e|\"f\"g|h", &["\\\"e", "\"f\"g", "h"]),
            ("\"a\\nb\"|\"x\\\"", &["a\\nb", "x\""]),
            ("2|\"q \"\"z\"\"\"|x", &["2", "\"q \"\"z\"\"\"", "x"]),
            ("7|\"a\\\"b\"|", &["7", "a\"b", ""]),
        ] {
            assert_eq!(parse(&pipes, text), values, "{text}");
        }
        let doubled = dialect("|", '"');
        for (text, values) in [
            ("2|\"q \"\"z\"\"\"|x", &["2", "q \"z\"", "x"][..]),
            ("7|\"a\\\"b\"|", &["7", "\"a\\\"b\"", ""]),
            ("\"a\\\\b\"|\"x\\\"", &["a\\\\b", "x\\"]),
        ] {
            assert_eq!(parse(&doubled, text), values, "{text}");
        }
        let trimming = CsvDialect { trims_start: true, trims_end: true, ..dialect("|", '\\') };
        assert_eq!(parse(&trimming, "a | b |\"x\" | \" s \""), ["a", "b", "x", " s "]);
    }

    #[test]
    fn a_quoted_value_may_have_several_lines() {
        let lines = CsvDialect { multi_line: true, ..dialect(",", '\\') };
        let mut record = CsvRecord::default();
        let text = "8,\"multi\nline\",1\r\n9,x\n";
        let taken = lines.parse(text, &mut record);
        assert_eq!((record.get(1), record.len()), (Some(("multi\nline", true)), 3));
        assert_eq!(&text[taken..], "9,x\n");
        assert_eq!(lines.parse(&text[taken..], &mut record), 4);
        assert_eq!((record.get(1), record.get(2)), (Some(("x", false)), None));
    }
}
