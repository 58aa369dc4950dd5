//! Reads stdin or a file in a thread of its own, and cuts what comes into lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio::sync::mpsc;

use crate::exit::Failure;

const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are read ahead of the producer.
const CHUNKS_AHEAD: usize = 4;
/// What comes without a line end for so long is no text.
const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

pub(super) enum Input {
    Stdin,
    File { file: File, size_bytes: u64 },
}

impl Input {
    /// `-` is stdin, too.
    pub(super) fn open(path: Option<&Path>) -> Result<Input, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Input::Stdin) };
        let opened = File::open(path).and_then(|file| {
            let size_bytes = file.metadata()?.len();
            Ok(Input::File { file, size_bytes })
        });
        opened.map_err(|error| Failure::File { path: path.to_owned(), error })
    }

    pub(super) fn size_bytes(&self) -> Option<u64> {
        match self {
            Input::Stdin => None,
            Input::File { size_bytes, .. } => Some(*size_bytes),
        }
    }

    /// Chunks as they come; none after the end or an error. The thread is not waited for: stdin may never end.
    pub(super) fn read(self) -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        std::thread::spawn(move || {
            let mut source: Box<dyn Read> = match self {
                Input::Stdin => Box::new(io::stdin().lock()),
                Input::File { file, .. } => Box::new(file),
            };
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let chunk = match source.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => Ok(buffer.get(..length).unwrap_or_default().to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(Failure::Stdin(error)),
                };
                let is_last = chunk.is_err();
                if sender.blocking_send(chunk).is_err() || is_last {
                    return;
                }
            }
        });
        chunks
    }
}

/// Cuts chunks into lines, which end with LF or CRLF and may span chunks.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    next: usize,
    /// Lines that have been cut off.
    count: u64,
}

/// A line without its end; the first one has number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) text: &'a [u8],
}

impl Lines {
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.bytes.drain(..self.next);
        self.next = 0;
        if self.bytes.len() > MAX_LINE_BYTES {
            let number = self.count + 1;
            return Err(Failure::Usage(format!("line {number} has more than {MAX_LINE_BYTES} bytes")));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        let rest = self.bytes.get(self.next..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        self.next += length + 1;
        self.count += 1;
        Some(Line { number: self.count, text: without_cr(rest.get(..length)?) })
    }

    /// What is left at the end of the input, if anything.
    pub(super) fn last(&self) -> Option<Line<'_>> {
        let rest = self.bytes.get(self.next..).filter(|rest| !rest.is_empty())?;
        Some(Line { number: self.count + 1, text: without_cr(rest) })
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_the_chunks_end() {
        let text = b"one\r\n\ntwo\nlast";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in [&text[..cut], &text[cut..]] {
                lines.feed(chunk).unwrap();
                while let Some(line) = lines.next() {
                    found.push((line.number, line.text.to_vec()));
                }
            }
            found.extend(lines.last().map(|line| (line.number, line.text.to_vec())));
            let expected = [(1, &b"one"[..]), (2, b""), (3, b"two"), (4, b"last")];
            assert_eq!(found, expected.map(|(number, text)| (number, text.to_vec())), "cut at {cut}");
        }
    }
}
