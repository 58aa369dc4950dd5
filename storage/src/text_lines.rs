//! The form of Kafka's small checkpoint files: a version line `0`, the number of entries, one line per entry.

use std::io;

const VERSION: &str = "0";

/// The entries of a text, each made by `entry` from the fields of its line; none of an empty one, for Kafka makes the
/// file before it has something to write. A text that is of another version, or does not have as many entries as it
/// says, is an error.
pub(crate) fn parse<T>(text: &str, entry: impl Fn(&[&str]) -> Option<T>) -> io::Result<Vec<T>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Err(damaged("its first line is not the version 0"));
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| damaged("its second line is not the number of entries"))?;
    let entries: Vec<T> = lines
        .map(|line| entry(&line.split_whitespace().collect::<Vec<_>>()).ok_or_else(|| damaged(line)))
        .collect::<io::Result<_>>()?;
    if entries.len() != count {
        return Err(damaged("it has not as many entries as it says"));
    }
    Ok(entries)
}

pub(crate) fn format<T: AsRef<str>>(lines: &[T]) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a damaged checkpoint: {what}"))
}
