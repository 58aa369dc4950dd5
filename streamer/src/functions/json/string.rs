//! What stands between the quotes of a JSON string.

use super::scanner::Malformed;

/// A string as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawString<'a> {
    pub(super) text: &'a str,
    pub(super) is_escaped: bool,
}

impl RawString<'_> {
    /// `scratch` is written to only where something is escaped.
    pub(super) fn with<T>(self, scratch: &mut String, read: impl FnOnce(&str) -> T) -> Result<T, Malformed> {
        if !self.is_escaped {
            return Ok(read(self.text));
        }
        scratch.clear();
        unescape(self.text, scratch)?;
        Ok(read(scratch))
    }

    pub(super) fn append_to(self, out: &mut String) -> Result<(), Malformed> {
        if self.is_escaped {
            return unescape(self.text, out);
        }
        out.push_str(self.text);
        Ok(())
    }
}

/// Half of a surrogate pair becomes a question mark, as where Java encodes it.
fn unescape(escaped: &str, out: &mut String) -> Result<(), Malformed> {
    let mut rest = escaped;
    while let Some((plain, behind)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = behind.chars();
        let character = match chars.next().ok_or(Malformed)? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let (character, behind) = unicode(chars.as_str())?;
                out.push(character);
                rest = behind;
                continue;
            }
            // The scanner has let through those that may be escaped.
            same => same,
        };
        out.push(character);
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(())
}

/// The character of one `XXXX`, or of a pair with `\uXXXX` behind it.
fn unicode(text: &str) -> Result<(char, &str), Malformed> {
    let (first, behind) = hex4(text)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, behind));
    }
    let low = behind.strip_prefix("\\u").map(hex4).transpose()?;
    let pair = low.and_then(|(low, behind)| {
        let high = first.checked_sub(0xd800).filter(|high| *high < 0x400)?;
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        Some((char::from_u32(0x10000 + (high << 10) + low)?, behind))
    });
    Ok(pair.unwrap_or(('?', behind)))
}

fn hex4(text: &str) -> Result<(u32, &str), Malformed> {
    let (digits, behind) = text.split_at_checked(4).ok_or(Malformed)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(Malformed)?;
    Ok((value, behind))
}
