//! Hadoop's patterns of paths: `*`, `?`, `[a-z]`, `[^a]`, `{one,two}` and, but on Windows, `\` before one of these.

use regex::Regex;

use super::error::FileSourceError;

const ESCAPES: bool = !cfg!(windows);

/// Whether a path, or a part of it, is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{']) || ESCAPES && text.contains('\\')
}

/// Of a whole name, without separators.
pub(super) fn name_pattern(text: &str) -> Result<Regex, FileSourceError> {
    let mut regex = String::from("^");
    let mut braces = 0_u32;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                regex.push('[');
                for inside in characters.by_ref() {
                    match inside {
                        ']' => break,
                        '!' if regex.ends_with('[') => regex.push('^'),
                        '^' | '-' => regex.push(inside),
                        other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
                    }
                }
                regex.push(']');
            }
            '{' => {
                braces += 1;
                regex.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                regex.push(')');
            }
            ',' if braces > 0 => regex.push('|'),
            '\\' if ESCAPES => {
                let escaped = characters.next().unwrap_or('\\');
                regex.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Regex::new(&regex).map_err(|_| FileSourceError::Pattern(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_hadoop_s() {
        for (pattern, matching, other) in [
            ("*.json", "a.json", "a.jsonl"),
            ("part-?", "part-1", "part-12"),
            ("[a-c]x", "bx", "dx"),
            ("[^a]x", "bx", "ax"),
            ("{a,bc}.{csv,txt}", "bc.csv", "b.csv"),
            ("a.b", "a.b", "axb"),
            ("p=*", "p=1", "q=1"),
        ] {
            let regex = name_pattern(pattern).unwrap();
            assert!(regex.is_match(matching) && !regex.is_match(other), "{pattern}");
        }
        assert!(is_pattern("/in/*/x") && !is_pattern("/in/p=1 (2)"));
        assert!(name_pattern("{a").is_err());
    }
}
