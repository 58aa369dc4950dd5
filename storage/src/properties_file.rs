//! Java's properties format, in which `server.properties` and `meta.properties` are written.

/// One `name=value` of a file, and the line that it starts on (from 1).
#[derive(Debug, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    pub value: String,
    pub line: usize,
}

/// Reads a properties text as `java.util.Properties.load` does: `=`, `:` or blanks separate name and value, `#` and
/// `!` start a comment, a backslash at the end of a line continues it, and `\t \n \r \f \uXXXX` are escapes. No text
/// is refused; a wrong `\uXXXX` stands for itself.
pub fn parse(text: &str) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).zip(1..);
    while let Some((first, line)) = lines.next() {
        let first = first.trim_start_matches(BLANKS);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            let Some((next, _)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANKS));
        }
        let (name, value) = split(&logical);
        properties.push(Property { name: unescape(name), value: unescape(value), line });
    }
    properties
}

/// A line as `java.util.Properties.store` writes it. The name must have nothing that Java would escape.
pub(crate) fn format(name: &str, value: &str) -> String {
    let mut line = format!("{name}=");
    escape(value, &mut line);
    line.push('\n');
    line
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let separates = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        separates
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, value.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut escape = rest[at + 1..].chars();
        match escape.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => match code_point(escape.as_str()) {
                Some(c) => {
                    plain.push(c);
                    rest = &rest[at + 6..];
                    continue;
                }
                None => plain.push_str("\\u"),
            },
            Some(c) => plain.push(c),
            None => {}
        }
        rest = escape.as_str();
    }
    plain + rest
}

fn escape(text: &str, line: &mut String) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\u{c}' => line.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => line.extend(['\\', c]),
            ' ' if at == 0 => line.push_str("\\ "),
            ' '..='~' => line.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| line.push_str(&format!("\\u{unit:04X}"))),
        }
    }
}

/// The four hexadecimal digits that follow `\u`.
fn code_point(text: &str) -> Option<char> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let properties = parse(text);
        let pairs: Vec<_> = properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(pairs, expected, "{text:?}");
    }

    #[test]
    fn names_and_values_are_separated_as_in_java() {
        check("a=1\nb: 2\nc 3\nd\n e = 5 \n", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", ""), ("e", "5 ")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a\\=b=c\\:d", &[("a=b", "c:d")]);
    }

    #[test]
    fn comments_blank_lines_and_windows_line_ends() {
        check("# one\r\n! two\r\n\r\n  # three\r\na=1\r\n", &[("a", "1")]);
    }

    #[test]
    fn a_backslash_continues_a_line() {
        check("a=1,\\\n    2,\\\r\n\t3", &[("a", "1,2,3")]);
        check("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]);
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn escapes() {
        check("log.dirs=C:\\\\tmp\\\\kafka\\u0020logs", &[("log.dirs", "C:\\tmp\\kafka logs")]);
        check("a=\\u00zz\\t", &[("a", "\\u00zz\t")]);
        check("a=\\uüü", &[("a", "\\uüü")]);
    }

    #[test]
    fn what_java_would_write_is_read_again() {
        assert_eq!(format("cluster.id", " a:b=c#\\ ü\t"), "cluster.id=\\ a\\:b\\=c\\#\\\\ \\u00FC\\t\n");
        check(&format("a.b", " 1 = ü\n"), &[("a.b", " 1 = ü\n")]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(parse("\na=1,\\\n2\nb=3").iter().map(|p| p.line).collect::<Vec<_>>(), [2, 4]);
    }
}
