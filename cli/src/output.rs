//! What a tool prints on stdout: text for people, or one JSON object a line for scripts.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::exit::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Buffered stdout. On a terminal every line is shown at once; otherwise when [`Output::flush`] is called.
pub(crate) struct Output {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Output {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Output { format, out: BufWriter::with_capacity(64 * 1024, stdout.lock()), is_terminal }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints an item as its text, or as its JSON.
    pub(crate) fn print(&mut self, item: &(impl Display + Serialize)) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.text(item),
            Format::Json => self.json(item),
        }
    }

    pub(crate) fn text(&mut self, text: &impl Display) -> Result<(), Failure> {
        self.write(|out| writeln!(out, "{text}"))
    }

    pub(crate) fn json(&mut self, item: &impl Serialize) -> Result<(), Failure> {
        self.write(|out| {
            serde_json::to_writer(&mut *out, item)?;
            out.write_all(b"\n")
        })
    }

    /// Writes bytes as they are.
    pub(crate) fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        write(&mut self.out).map_err(Failure::Stdout)?;
        if self.is_terminal { self.flush() } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Stdout)
    }
}

/// Bytes in JSON: text where they are UTF-8, otherwise `{"hex":"00ff"}`.
pub(crate) struct JsonBytes<'a>(pub(crate) &'a [u8]);

impl Serialize for JsonBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Hex {
            hex: String,
        }
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                Hex { hex: self.0.iter().map(|byte| format!("{byte:02x}")).collect() }.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be() {
        assert_eq!(serde_json::to_string(&JsonBytes("é\"".as_bytes())).unwrap(), r#""é\"""#);
        assert_eq!(serde_json::to_string(&JsonBytes(&[0, 255])).unwrap(), r#"{"hex":"00ff"}"#);
    }
}
