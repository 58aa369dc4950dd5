//! Spark's JSON paths over JSON text, without building a tree of it: what a path does not lead to is skipped.
//!
//! As Jackson with Spark's settings does, it takes single quotes, and lets text stand behind the first value. Broken
//! JSON has no values.

use std::iter::Peekable;
use std::str::Chars;

use crate::format::json::write_string;
use crate::format::number;

/// Deeper JSON is taken for broken; Jackson's limit is 1000.
const MAX_DEPTH: usize = 500;

/// `$.carrier`, `$.legs[0]['from city']`, `$.legs[*].to`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    /// `[*]`
    Elements,
    /// `.*`, which Spark reads and never finds.
    Nothing,
}

impl JsonPath {
    /// `None` for a text that is no path: nothing is found by it.
    pub(super) fn parse(text: &str) -> Option<JsonPath> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = parse_step(rest)?;
            steps.push(step);
            rest = behind;
        }
        Some(JsonPath(steps))
    }

    /// Appends what the path leads to and says whether there is such a thing.
    pub(super) fn evaluate(&self, json: &str, found: &mut String) -> bool {
        let mut scanner = Scanner { rest: json, depth: 0 };
        scanner.find(&self.0, Style::Raw, found).unwrap_or(false)
    }
}

fn parse_step(text: &str) -> Option<(Step, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, rest) = name.split_at(end);
        return match name {
            "" => None,
            "*" => Some((Step::Nothing, rest)),
            name => Some((Step::Field(name.to_owned()), rest)),
        };
    }
    let inner = text.strip_prefix('[')?;
    if let Some(quoted) = inner.strip_prefix('\'') {
        let (name, rest) = quoted.split_once("']")?;
        return Some((Step::Field(name.to_owned()), rest));
    }
    let (index, rest) = inner.split_once(']')?;
    let step = if index == "*" { Step::Elements } else { Step::Index(index.parse().ok()?) };
    Some((step, rest))
}

/// How a found text is written: as it is, or inside of an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Raw,
    Quoted,
}

/// The text is no JSON.
struct Malformed;

struct Scanner<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn find(&mut self, path: &[Step], style: Style, found: &mut String) -> Result<bool, Malformed> {
        match (self.peek()?, path) {
            ('"' | '\'', []) if style == Style::Raw => {
                let text = self.string()?;
                unescape(text, found)?;
                Ok(true)
            }
            (_, []) => self.copy(found).map(|()| true),
            ('{', [Step::Field(name), rest @ ..]) => self.find_field(name, rest, style, found),
            ('[', [Step::Index(index), rest @ ..]) => self.find_element(*index, rest, style, found),
            ('[', [Step::Elements, rest @ ..]) => self.find_elements(rest, style, found),
            _ => self.skip().map(|()| false),
        }
    }

    /// The first member of that name that leads to something.
    fn find_field(
        &mut self,
        name: &str,
        path: &[Step],
        style: Style,
        found: &mut String,
    ) -> Result<bool, Malformed> {
        let mut is_found = false;
        self.members(|scanner, member| {
            let is_wanted = !is_found && is_named(member, name)? && !scanner.rest.starts_with("null");
            if !is_wanted {
                return scanner.skip();
            }
            is_found = scanner.find(path, style, found)?;
            Ok(())
        })?;
        Ok(is_found)
    }

    fn find_element(
        &mut self,
        wanted: usize,
        path: &[Step],
        style: Style,
        found: &mut String,
    ) -> Result<bool, Malformed> {
        let (mut index, mut is_found) = (0, false);
        self.elements(|scanner| {
            let is_wanted = index == wanted;
            index += 1;
            if !is_wanted {
                return scanner.skip();
            }
            is_found = scanner.find(path, style, found)?;
            Ok(())
        })?;
        Ok(is_found)
    }

    /// All elements that lead to something, as an array; alone, one stands without the brackets.
    fn find_elements(&mut self, path: &[Step], style: Style, found: &mut String) -> Result<bool, Malformed> {
        let start = found.len();
        let mut count = 0;
        self.elements(|scanner| {
            let before = found.len();
            found.push(if count == 0 { '[' } else { ',' });
            match scanner.find(path, Style::Quoted, found)? {
                true => count += 1,
                false => found.truncate(before),
            }
            Ok(())
        })?;
        match (count, style) {
            (0, Style::Raw) => {}
            (1, Style::Raw) => drop(found.remove(start)),
            (0, Style::Quoted) => found.push_str("[]"),
            _ => found.push(']'),
        }
        Ok(count > 0 || style == Style::Quoted)
    }

    /// Copies a value in its shortest form.
    fn copy(&mut self, out: &mut String) -> Result<(), Malformed> {
        match self.peek()? {
            '{' => {
                out.push('{');
                let start = out.len();
                self.members(|scanner, name| {
                    out.push_str(if out.len() > start { "," } else { "" });
                    copy_string(name, out)?;
                    out.push(':');
                    scanner.copy(out)
                })?;
                out.push('}');
            }
            '[' => {
                out.push('[');
                let start = out.len();
                self.elements(|scanner| {
                    out.push_str(if out.len() > start { "," } else { "" });
                    scanner.copy(out)
                })?;
                out.push(']');
            }
            '"' | '\'' => copy_string(self.string()?, out)?,
            _ => copy_scalar(self.scalar()?, out)?,
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            '{' => self.members(|scanner, _| scanner.skip()),
            '[' => self.elements(Scanner::skip),
            '"' | '\'' => self.string().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// Calls `member` with each name, before its value.
    fn members(
        &mut self,
        mut member: impl FnMut(&mut Scanner<'a>, &'a str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list('}', |scanner| {
            let name = match scanner.peek()? {
                '"' | '\'' => scanner.string()?,
                _ => return Err(Malformed),
            };
            scanner.expect(':')?;
            scanner.peek()?;
            member(scanner, name)
        })
    }

    fn elements(
        &mut self,
        element: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list(']', element)
    }

    fn list(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed);
        }
        self.bump();
        if self.peek()? == close {
            self.bump();
        } else {
            loop {
                item(self)?;
                match self.peek()? {
                    ',' => self.bump(),
                    end if end == close => break self.bump(),
                    _ => return Err(Malformed),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The text between the quotes, still escaped.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        let quote = *self.rest.as_bytes().first().ok_or(Malformed)?;
        let mut escaped = false;
        for (at, byte) in self.rest.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                byte if byte == quote => {
                    let (text, rest) = self.rest.split_at(at);
                    self.rest = rest.get(1..).unwrap_or_default();
                    return text.get(1..).ok_or(Malformed);
                }
                byte if byte < b' ' => return Err(Malformed),
                _ => {}
            }
        }
        Err(Malformed)
    }

    /// A number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<&'a str, Malformed> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        match text {
            "true" | "false" | "null" => Ok(text),
            number if is_number(number) => Ok(number),
            _ => Err(Malformed),
        }
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Result<char, Malformed> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.chars().next().ok_or(Malformed)
    }

    fn bump(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn expect(&mut self, wanted: char) -> Result<(), Malformed> {
        if self.peek()? != wanted {
            return Err(Malformed);
        }
        self.bump();
        Ok(())
    }
}

fn is_named(escaped: &str, name: &str) -> Result<bool, Malformed> {
    if !escaped.contains('\\') {
        return Ok(escaped == name);
    }
    let mut text = String::new();
    unescape(escaped, &mut text)?;
    Ok(text == name)
}

fn copy_string(escaped: &str, out: &mut String) -> Result<(), Malformed> {
    let mut text = String::new();
    unescape(escaped, &mut text)?;
    write_string(out, &text);
    Ok(())
}

/// Jackson reads a number with a fraction or an exponent as a double, and writes it as Java does.
fn copy_scalar(text: &str, out: &mut String) -> Result<(), Malformed> {
    let is_float = text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && text.contains(['.', 'e', 'E']);
    if is_float {
        out.push_str(&number::double(text.parse().map_err(|_| Malformed)?));
    } else {
        out.push_str(text);
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts_well = match digits.as_bytes() {
        [b'0'] => true,
        [b'0', next, ..] => !next.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    starts_well && !text.ends_with('.') && text.parse::<f64>().is_ok()
}

fn unescape(escaped: &str, out: &mut String) -> Result<(), Malformed> {
    let mut chars = escaped.chars().peekable();
    while let Some(character) = chars.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        out.push(match chars.next().ok_or(Malformed)? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => unicode(&mut chars)?,
            same @ ('"' | '\'' | '\\' | '/') => same,
            _ => return Err(Malformed),
        });
    }
    Ok(())
}

/// The character of one `\uXXXX`, or of a pair of them.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Result<char, Malformed> {
    let first = hex4(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    if chars.next_if_eq(&'\\').is_none() || chars.next_if_eq(&'u').is_none() {
        return Ok(char::REPLACEMENT_CHARACTER);
    }
    let second = hex4(chars)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
    let pair = low.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + low));
    Ok(pair.unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn hex4(chars: &mut Peekable<Chars<'_>>) -> Result<u32, Malformed> {
    (0..4).try_fold(0, |value, _| {
        let digit = chars.next().and_then(|digit| digit.to_digit(16)).ok_or(Malformed)?;
        Ok(value * 16 + digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(json: &str, path: &str) -> Option<String> {
        let mut found = String::new();
        JsonPath::parse(path)?.evaluate(json, &mut found).then_some(found)
    }

    // What is expected below was answered by Spark 4.1.1.

    #[test]
    fn paths_lead_where_spark_s_lead() {
        let json = r#"{"a":1,"b":"x\u00fc","c":null,"d":1.50,"e":{"f":[1,{"g":true}]},"h h":"sp","arr":[{"k":1},{"k":2}]}"#;
        for (path, found) in [
            ("$.a", Some("1")),
            ("$.b", Some("xü")),
            ("$.c", None),
            ("$.d", Some("1.5")),
            ("$.e", Some(r#"{"f":[1,{"g":true}]}"#)),
            ("$.e.f[0]", Some("1")),
            ("$.e.f[1].g", Some("true")),
            ("$.e.f", Some(r#"[1,{"g":true}]"#)),
            ("$['h h']", Some("sp")),
            ("$.zz", None),
            (
                "$",
                Some(
                    r#"{"a":1,"b":"xü","c":null,"d":1.5,"e":{"f":[1,{"g":true}]},"h h":"sp","arr":[{"k":1},{"k":2}]}"#,
                ),
            ),
            ("a", None),
            ("$.arr[*].k", Some("[1,2]")),
            ("$.arr[*]", Some(r#"[{"k":1},{"k":2}]"#)),
            ("$.arr.k", None),
            ("$.arr[0]", Some(r#"{"k":1}"#)),
            ("$.e.*", None),
            ("$.e.f[*]", Some(r#"[1,{"g":true}]"#)),
            ("$.arr[1].k", Some("2")),
            ("$.A", None),
            ("$['a']", Some("1")),
            ("$.e['f'][1]['g']", Some("true")),
            ("$.a.b", None),
            ("$..a", None),
            ("$.", None),
        ] {
            assert_eq!(get(json, path).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn json_is_as_broken_as_spark_takes_it_for() {
        for (json, a, all) in [
            ("{bad", None, None),
            ("[1,2]", None, Some("[1,2]")),
            ("'x'", None, Some("x")),
            ("1", None, Some("1")),
            ("\"s\"", None, Some("s")),
            ("null", None, Some("null")),
            ("{\"a\":1} trailing", Some("1"), Some("{\"a\":1}")),
            ("{'a':1}", Some("1"), Some("{\"a\":1}")),
            ("{\"a\":1e3}", Some("1000.0"), Some("{\"a\":1000.0}")),
            (
                "{\"a\":123456789012345678901234567890}",
                Some("123456789012345678901234567890"),
                Some("{\"a\":123456789012345678901234567890}"),
            ),
            ("{\"a\":\"\"}", Some(""), Some("{\"a\":\"\"}")),
            ("{\"a\":1,\"a\":2}", Some("1"), Some("{\"a\":1,\"a\":2}")),
            ("{\"a\":-0.0}", Some("-0.0"), Some("{\"a\":-0.0}")),
            ("{\"a\":\"x\\n\"}", Some("x\n"), Some("{\"a\":\"x\\n\"}")),
            ("", None, None),
            ("{\"a\": {\"b\" : 1}}", Some("{\"b\":1}"), Some("{\"a\":{\"b\":1}}")),
            ("{\"a\":1.0E5,", None, None),
            ("{\"a\":NaN}", None, None),
            ("{\"a\":null,\"a\":5}", Some("5"), Some("{\"a\":null,\"a\":5}")),
        ] {
            assert_eq!(get(json, "$.a").as_deref(), a, "{json}");
            assert_eq!(get(json, "$").as_deref(), all, "{json}");
        }
    }

    #[test]
    fn json_that_is_too_deep_is_broken_not_a_crash() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(get(&deep, "$.a"), None);
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_finds(a in any::<String>(), n in any::<i64>()) {
            let json = serde_json::json!({"x": [n, {"k\"": a}], "a": a}).to_string();
            prop_assert_eq!(get(&json, "$.a"), Some(a.clone()));
            prop_assert_eq!(get(&json, "$.x[1]['k\"']"), Some(a));
            prop_assert_eq!(get(&json, "$.x[0]"), Some(n.to_string()));
        }

        #[test]
        fn no_text_makes_it_panic(json in "[\\[\\]{}\"'\\\\,:a0-9.eu \\PC]{0,60}") {
            get(&json, "$.a[0]");
            get(&json, "$[*]");
        }
    }
}
