//! Paths as Spark's log has them: `file:///folder/a%20file`, on Windows `file:///C:/folder/a%20file`.
//!
//! Java's `URI` quotes what RFC 2396 does not allow in a path, but leaves letters beyond ASCII as they are.

use std::path::{Path, PathBuf};

use super::error::FileSinkError;

/// `path` must be absolute.
pub fn to_uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.strip_prefix(r"\\?\").unwrap_or(&text);
    let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    let mut uri = String::from("file://");
    // A drive letter stands for itself: `file:///C:/…`.
    if !text.starts_with('/') {
        uri.push('/');
    }
    for character in text.chars() {
        if is_plain(character) {
            uri.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                uri.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    uri
}

/// The path of a `file:` URI, or of a plain path.
pub fn to_path(text: &str) -> Result<PathBuf, FileSinkError> {
    let not_local = || FileSinkError::NotLocal { text: text.to_owned() };
    let Some(rest) = text.strip_prefix("file:") else {
        return Ok(PathBuf::from(text));
    };
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(not_local());
    }
    let path = decode(path).ok_or_else(not_local)?;
    let is_drive = path.as_bytes().get(2) == Some(&b':');
    Ok(PathBuf::from(if cfg!(windows) && is_drive { path.trim_start_matches('/') } else { &path }))
}

fn is_plain(character: char) -> bool {
    match character {
        character if !character.is_ascii() => !character.is_control() && !character.is_whitespace(),
        character => character.is_ascii_alphanumeric() || "-_.!~'()*/:@&=+$,;".contains(character),
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_path_is_quoted_as_java_quotes_it() {
        // The log of PySpark 4.1.1 had this line.
        let path = Path::new("/w/r=a b%2Fc%7B}%5Eé%0A/t=2013 10%3A00");
        let uri = to_uri(path);
        assert_eq!(uri, "file:///w/r=a%20b%252Fc%257B%7D%255Eé%250A/t=2013%2010%253A00");
        assert_eq!(to_path(&uri).unwrap(), path);
    }

    #[test]
    fn plain_paths_and_both_forms_of_a_uri_are_read() {
        for text in ["/data/out", "file:/data/out", "file:///data/out", "file://localhost/data/out"] {
            assert_eq!(to_path(text).unwrap(), Path::new("/data/out"));
        }
        assert!(to_path("file://server/share").is_err() && to_path("file:///a%2").is_err());
    }
}
