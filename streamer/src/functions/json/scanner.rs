//! JSON text, value by value, with the freedoms that Jackson has under Spark's settings: single quotes, text behind
//! the first value, and what a [`Dialect`] adds.

use super::number::Number;
use super::plain_run::plain_run;
use super::string::RawString;
use crate::format::json::write_string;
use crate::format::number::double;

/// Deeper JSON is taken for broken. Jackson's limit is 1000.
const MAX_DEPTH: usize = 500;

/// The text is no JSON.
#[derive(Debug)]
pub(super) struct Malformed;

/// What of Jackson's freedoms is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dialect {
    pub(super) single_quotes: bool,
    pub(super) unquoted_names: bool,
    pub(super) comments: bool,
    pub(super) leading_zeros: bool,
    /// `\q` is `q`.
    pub(super) any_escape: bool,
    /// Control characters within strings.
    pub(super) control_characters: bool,
    /// `NaN`, `Infinity`, `-INF` and the like.
    pub(super) non_numeric: bool,
}

impl Dialect {
    /// Without options.
    pub(super) const STANDARD: Dialect = Dialect {
        single_quotes: true,
        unquoted_names: false,
        comments: false,
        leading_zeros: false,
        any_escape: false,
        control_characters: false,
        non_numeric: false,
    };
}

/// A value that is neither text, nor list, nor object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number<'a>),
    /// NaN or an infinity.
    NonNumeric(f64),
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    dialect: Dialect,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Scanner<'a> {
        Scanner { text, at: 0, depth: 0, dialect }
    }

    /// Where the scanner stands, to [`return_to`](Scanner::return_to).
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn return_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Whether the value that comes next is null.
    pub(super) fn is_at_null(&self) -> bool {
        self.rest().starts_with(b"null")
    }

    /// Copies a value in its shortest form.
    pub(super) fn copy(&mut self, out: &mut String) -> Result<(), Malformed> {
        match self.peek()? {
            b'{' => {
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
            b'[' => {
                out.push('[');
                let start = out.len();
                self.elements(|scanner| {
                    out.push_str(if out.len() > start { "," } else { "" });
                    scanner.copy(out)
                })?;
                out.push(']');
            }
            quote if self.is_quote(quote) => copy_string(self.string()?, out)?,
            _ => copy_scalar(&self.scalar()?, out),
        }
        Ok(())
    }

    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.members(|scanner, _| scanner.skip()),
            b'[' => self.elements(Scanner::skip),
            quote if self.is_quote(quote) => self.string().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// Calls `member` with each name, before its value.
    pub(super) fn members(
        &mut self,
        mut member: impl FnMut(&mut Scanner<'a>, RawString<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list(b'}', |scanner| {
            let name = match scanner.peek()? {
                quote if scanner.is_quote(quote) => scanner.string()?,
                _ if scanner.dialect.unquoted_names => scanner.bare_name()?,
                _ => return Err(Malformed),
            };
            if scanner.peek()? != b':' {
                return Err(Malformed);
            }
            scanner.at += 1;
            scanner.peek()?;
            member(scanner, name)
        })
    }

    pub(super) fn elements(
        &mut self,
        element: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list(b']', element)
    }

    #[inline]
    fn list(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed);
        }
        self.at += 1;
        if self.peek()? == close {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                let end = self.peek()?;
                self.at += 1;
                match end {
                    b',' => {}
                    end if end == close => break,
                    _ => return Err(Malformed),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The scanner stands at a quote.
    #[inline]
    pub(super) fn string(&mut self) -> Result<RawString<'a>, Malformed> {
        let rest = self.rest();
        let (quote, inner) = rest.split_first().ok_or(Malformed)?;
        let length = plain_run(inner, *quote);
        if inner.get(length) == Some(quote) {
            let text = self.text.get(self.at + 1..self.at + 1 + length).ok_or(Malformed)?;
            self.at += length + 2;
            return Ok(RawString { text, is_escaped: false });
        }
        self.escaped_string(*quote, length)
    }

    /// `plain` bytes of it are known to be plain.
    fn escaped_string(&mut self, quote: u8, plain: usize) -> Result<RawString<'a>, Malformed> {
        let start = self.at + 1;
        let mut at = start + plain;
        let bytes = self.text.as_bytes();
        let mut is_escaped = false;
        loop {
            match *bytes.get(at).ok_or(Malformed)? {
                byte if byte == quote => break,
                b'\\' => {
                    is_escaped = true;
                    at += self.escape(bytes.get(at + 1..).ok_or(Malformed)?)?;
                }
                _ if self.dialect.control_characters => at += 1,
                _ => return Err(Malformed),
            }
            at += plain_run(bytes.get(at..).ok_or(Malformed)?, quote);
        }
        self.at = at + 1;
        let text = self.text.get(start..at).ok_or(Malformed)?;
        Ok(RawString { text, is_escaped })
    }

    /// The bytes of an escape, with its backslash, before which `behind` stands.
    fn escape(&self, behind: &[u8]) -> Result<usize, Malformed> {
        match *behind.first().ok_or(Malformed)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(2),
            b'\'' if self.dialect.single_quotes => Ok(2),
            b'u' => {
                let digits = behind.get(1..5).ok_or(Malformed)?;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(6) } else { Err(Malformed) }
            }
            // What follows the first byte of a longer character is plain.
            _ if self.dialect.any_escape => Ok(2),
            _ => Err(Malformed),
        }
    }

    fn bare_name(&mut self) -> Result<RawString<'a>, Malformed> {
        let rest = self.text.get(self.at..).ok_or(Malformed)?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$')).unwrap_or(rest.len());
        let text = rest.get(..end).filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()));
        self.at += end;
        let text = text.filter(|name| !name.is_empty()).ok_or(Malformed)?;
        Ok(RawString { text, is_escaped: false })
    }

    #[inline]
    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, Malformed> {
        match self.rest() {
            [b'0'..=b'9', ..] => self.number().map(Scalar::Number),
            [b'-', b'0'..=b'9', ..] => self.number().map(Scalar::Number),
            [b't', b'r', b'u', b'e', ..] => self.word(4, Scalar::Boolean(true)),
            [b'f', b'a', b'l', b's', b'e', ..] => self.word(5, Scalar::Boolean(false)),
            [b'n', b'u', b'l', b'l', ..] => self.word(4, Scalar::Null),
            _ if self.dialect.non_numeric => self.non_numeric(),
            _ => Err(Malformed),
        }
    }

    fn word(&mut self, length: usize, scalar: Scalar<'a>) -> Result<Scalar<'a>, Malformed> {
        self.at += length;
        Ok(scalar)
    }

    fn non_numeric(&mut self) -> Result<Scalar<'a>, Malformed> {
        const WORDS: [(&[u8], f64); 6] = [
            (b"NaN", f64::NAN),
            (b"Infinity", f64::INFINITY),
            (b"+Infinity", f64::INFINITY),
            (b"-Infinity", f64::NEG_INFINITY),
            (b"+INF", f64::INFINITY),
            (b"-INF", f64::NEG_INFINITY),
        ];
        let rest = self.rest();
        let (word, value) = WORDS.iter().find(|(word, _)| rest.starts_with(word)).ok_or(Malformed)?;
        self.at += word.len();
        Ok(Scalar::NonNumeric(*value))
    }

    fn number(&mut self) -> Result<Number<'a>, Malformed> {
        let mut digits = Digits { rest: self.rest(), mantissa: 0, overflows: false };
        let is_negative = digits.take(b"-");
        let has_leading_zero = digits.rest.first() == Some(&b'0');
        let whole_digits = digits.run();
        if whole_digits == 0 || (whole_digits > 1 && has_leading_zero && !self.dialect.leading_zeros) {
            return Err(Malformed);
        }
        let has_point = digits.take(b".");
        let fraction_digits = if has_point { digits.run() } else { 0 };
        let mantissa = (!digits.overflows).then_some(digits.mantissa);
        let has_exponent = digits.take(b"eE");
        if has_exponent {
            digits.take(b"+-");
            if digits.run() == 0 {
                return Err(Malformed);
            }
        }
        if has_point && fraction_digits == 0 {
            return Err(Malformed);
        }
        let end = self.text.len() - digits.rest.len();
        let text = self.text.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        let is_integer = !has_point && !has_exponent;
        Ok(Number { text, is_negative, mantissa, fraction_digits, is_integer, has_exponent })
    }

    /// The next byte that is no space.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Malformed> {
        loop {
            match *self.text.as_bytes().get(self.at).ok_or(Malformed)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'/' if self.dialect.comments => self.comment()?,
                byte => return Ok(byte),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Malformed> {
        let rest = self.text.get(self.at..).ok_or(Malformed)?;
        let length = match rest.get(1..2) {
            Some("/") => rest.find('\n').ok_or(Malformed)?,
            Some("*") => rest.get(2..).and_then(|inner| inner.find("*/")).ok_or(Malformed)? + 4,
            _ => return Err(Malformed),
        };
        self.at += length;
        Ok(())
    }

    #[inline]
    pub(super) fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || (byte == b'\'' && self.dialect.single_quotes)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

struct Digits<'a> {
    rest: &'a [u8],
    mantissa: u64,
    overflows: bool,
}

impl Digits<'_> {
    fn take(&mut self, wanted: &[u8]) -> bool {
        match self.rest.split_first() {
            Some((byte, behind)) if wanted.contains(byte) => {
                self.rest = behind;
                true
            }
            _ => false,
        }
    }

    /// Reads digits into the mantissa and counts them.
    #[inline]
    fn run(&mut self) -> usize {
        let mut count = 0;
        while let Some((digit @ b'0'..=b'9', behind)) = self.rest.split_first() {
            count += 1;
            self.rest = behind;
            let value = self.mantissa.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
            match value {
                Some(value) => self.mantissa = value,
                None => self.overflows = true,
            }
        }
        count
    }
}

fn copy_string(string: RawString<'_>, out: &mut String) -> Result<(), Malformed> {
    let mut text = String::new();
    string.append_to(&mut text)?;
    write_string(out, &text);
    Ok(())
}

/// Jackson reads a number with a fraction or an exponent as a double, and writes it as Java does.
pub(super) fn copy_scalar(scalar: &Scalar<'_>, out: &mut String) {
    let value = match scalar {
        Scalar::Null => return out.push_str("null"),
        Scalar::Boolean(value) => return out.push_str(if *value { "true" } else { "false" }),
        Scalar::Number(number) if number.is_integer => {
            return match number.integer() {
                Some(value) => out.push_str(&value.to_string()),
                None => out.push_str(number.text),
            };
        }
        Scalar::Number(number) => number.double(),
        Scalar::NonNumeric(value) => *value,
    };
    match value.is_finite() {
        true => out.push_str(&double(value)),
        false => write_string(out, &double(value)),
    }
}
