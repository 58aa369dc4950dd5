//! JSON text, value by value.
//!
//! As Jackson with Spark's settings does, it takes single quotes, and lets text stand behind the first value.

use std::iter::Peekable;
use std::str::Chars;

use crate::format::json::write_string;
use crate::format::number;

/// Deeper JSON is taken for broken; Jackson's limit is 1000.
const MAX_DEPTH: usize = 500;

/// The text is no JSON.
pub(super) struct Malformed;

pub(super) struct Scanner<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { rest: text, depth: 0 }
    }

    /// Whether the value that comes next is null.
    pub(super) fn is_at_null(&self) -> bool {
        self.rest.starts_with("null")
    }

    /// Copies a value in its shortest form.
    pub(super) fn copy(&mut self, out: &mut String) -> Result<(), Malformed> {
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

    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            '{' => self.members(|scanner, _| scanner.skip()),
            '[' => self.elements(Scanner::skip),
            '"' | '\'' => self.string().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// Calls `member` with each name, before its value.
    pub(super) fn members(
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

    pub(super) fn elements(
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
    pub(super) fn string(&mut self) -> Result<&'a str, Malformed> {
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
    pub(super) fn peek(&mut self) -> Result<char, Malformed> {
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

pub(super) fn unescape(escaped: &str, out: &mut String) -> Result<(), Malformed> {
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
