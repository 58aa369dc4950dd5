//! The lines of a file, also of one that is compressed. Hadoop's `LineRecordReader`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::error::FileSourceError;

/// A longer line, or with `multiLine` and `wholetext` a longer file, is refused.
const MAX_LINE_BYTES: usize = 256 << 20;
const BOM: &[u8] = "\u{feff}".as_bytes();

pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    separator: LineSeparator,
    /// Behind a `\r`: a `\n` belongs to it.
    skips_line_feed: bool,
    is_first: bool,
}

/// What ends a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineSeparator {
    /// `\n`, `\r\n` or `\r`
    Any,
    /// `lineSep`, not empty.
    Text(Vec<u8>),
}

impl LineSeparator {
    pub(super) fn new(option: Option<&str>) -> LineSeparator {
        option
            .filter(|text| !text.is_empty())
            .map_or(LineSeparator::Any, |text| LineSeparator::Text(text.into()))
    }
}

/// Opens a file of text.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    Ok(match extension.as_deref() {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Some("deflate") => Box::new(BufReader::new(ZlibDecoder::new(file))),
        Some(codec @ ("bz2" | "zst" | "lz4" | "snappy" | "xz")) => {
            let message = format!("files compressed as {codec} are not served by Ottla; gz and deflate are");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        _ => Box::new(BufReader::with_capacity(64 << 10, file)),
    })
}

/// The whole file.
pub(super) fn read_whole(reader: Box<dyn BufRead + Send>, path: &Path) -> Result<String, FileSourceError> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_LINE_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(FileSourceError::io("read", path))?;
    if bytes.len() > MAX_LINE_BYTES {
        return Err(FileSourceError::LongLine { path: path.to_owned(), max: MAX_LINE_BYTES });
    }
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    Ok(text(bytes))
}

impl Lines {
    pub(super) fn new(reader: Box<dyn BufRead + Send>, path: &Path, separator: LineSeparator) -> Lines {
        Lines { reader, path: path.to_owned(), separator, skips_line_feed: false, is_first: true }
    }

    /// The next line without its end. Bytes that are no text become U+FFFD, as in Java.
    pub(super) fn next(&mut self) -> Result<Option<String>, FileSourceError> {
        let mut line = Vec::new();
        let is_there = match self.separator.clone() {
            LineSeparator::Any => self.read_line(&mut line)?,
            LineSeparator::Text(separator) => self.read_until(&separator, &mut line)?,
        };
        if std::mem::take(&mut self.is_first) && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        Ok(is_there.then(|| text(line)))
    }

    fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, FileSourceError> {
        let mut is_there = false;
        loop {
            let buffer = self.reader.fill_buf().map_err(FileSourceError::io("read", &self.path))?;
            let Some(first) = buffer.first() else {
                return Ok(is_there);
            };
            if std::mem::take(&mut self.skips_line_feed) && *first == b'\n' {
                self.reader.consume(1);
                continue;
            }
            is_there = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (before, behind) = buffer.split_at(end.unwrap_or(buffer.len()));
            line.extend_from_slice(before);
            self.skips_line_feed = behind.first() == Some(&b'\r');
            let taken = before.len() + usize::from(!behind.is_empty());
            self.reader.consume(taken);
            self.check_length(line)?;
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn read_until(&mut self, separator: &[u8], line: &mut Vec<u8>) -> Result<bool, FileSourceError> {
        let last = separator.last().copied().unwrap_or(b'\n');
        loop {
            let left = (MAX_LINE_BYTES + 1).saturating_sub(line.len()) as u64;
            let read = (&mut self.reader).take(left).read_until(last, line);
            if read.map_err(FileSourceError::io("read", &self.path))? == 0 {
                return Ok(!line.is_empty());
            }
            self.check_length(line)?;
            if line.ends_with(separator) {
                line.truncate(line.len() - separator.len());
                return Ok(true);
            }
        }
    }

    fn check_length(&self, line: &[u8]) -> Result<(), FileSourceError> {
        if line.len() > MAX_LINE_BYTES {
            return Err(FileSourceError::LongLine { path: self.path.clone(), max: MAX_LINE_BYTES });
        }
        Ok(())
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static [u8], separator: Option<&str>) -> Vec<String> {
        // A small buffer, so that lines lie across its end.
        let reader = Box::new(BufReader::with_capacity(3, text));
        let mut lines = Lines::new(reader, Path::new("f"), LineSeparator::new(separator));
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn every_end_of_a_line_is_one() {
        assert_eq!(lines(b"l1\r\nl2\rl3\n\nlast", None), ["l1", "l2", "l3", "", "last"]);
        assert_eq!(lines("\u{feff}é\n".as_bytes(), None), ["é"]);
        assert_eq!(lines(b"\n\r\n\r", None), ["", "", ""]);
        assert_eq!(lines(b"a;b\n;;c", Some(";")), ["a", "b\n", "", "c"]);
        assert_eq!(lines(b"a||b|c||", Some("||")), ["a", "b|c"]);
        assert_eq!(lines(b"\xffx", None), ["\u{fffd}x"]);
    }
}
