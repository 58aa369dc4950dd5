//! What a string literal stands for. Spark's `SparkParserUtils.unescapeSQLString`.

use std::iter::Peekable;
use std::str::Chars;

/// The text between the quotes: a doubled quote is one, and a backslash makes the next character special or plain.
pub(super) fn unescape(raw: &str, quote: char) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(&mut characters, &mut text),
            _ if character == quote => {
                characters.next_if_eq(&quote);
                text.push(quote);
            }
            _ => text.push(character),
        }
    }
    text
}

fn escape(characters: &mut Peekable<Chars<'_>>, text: &mut String) {
    let rest: String = characters.clone().take(9).collect();
    for (start, digits, radix) in [("u", 4, 16), ("U", 8, 16), ("", 3, 8)] {
        if let Some(code) = rest.strip_prefix(start).and_then(|rest| rest.get(..digits))
            && code.chars().all(|digit| digit.is_digit(radix))
            && let Ok(code) = u32::from_str_radix(code, radix)
            && (radix == 16 || code < 128)
            && let Some(character) = char::from_u32(code)
        {
            text.push(character);
            characters.by_ref().take(start.len() + digits).for_each(drop);
            return;
        }
    }
    match characters.next() {
        Some('0') => text.push('\0'),
        Some('b') => text.push('\u{8}'),
        Some('n') => text.push('\n'),
        Some('r') => text.push('\r'),
        Some('t') => text.push('\t'),
        Some('Z') => text.push('\u{1a}'),
        // LIKE still has to see these.
        Some(wildcard @ ('%' | '_')) => text.extend(['\\', wildcard]),
        Some(other) => text.push(other),
        None => text.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Spark 4.1.1 reads them.
    #[test]
    fn escapes_are_spark_s() {
        for (raw, text) in [
            (r"it''s", "it's"),
            (r"a\'b", "a'b"),
            (r"a\\d\d", r"a\dd"),
            (r"\n\t\r\0\Z\b", "\n\t\r\0\u{1a}\u{8}"),
            (r"\u0041\101\U0001F600", "AA😀"),
            (r"\%\_", r"\%\_"),
            (r"C:\\data\\a b", r"C:\data\a b"),
            ("\\", "\\"),
        ] {
            assert_eq!(unescape(raw, '\''), text, "{raw}");
        }
    }
}
