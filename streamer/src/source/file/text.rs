//! Files of text: a row for each line, or with `wholetext` for each file.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::Fields;

use super::error::FileSourceError;
use super::format::{self, FileColumns, MAX_BYTES, MAX_ROWS, Rows};
use super::lines::{self, LineSeparator, Lines};

pub(super) struct TextRows {
    lines: Lines,
    path: PathBuf,
    wanted: Fields,
}

impl TextRows {
    pub(super) fn open(
        reader: Box<dyn BufRead + Send>,
        path: &Path,
        separator: LineSeparator,
        is_whole: bool,
        columns: &FileColumns,
    ) -> Result<Rows, FileSourceError> {
        if is_whole {
            let text = lines::read_whole(reader, path)?;
            // As in Spark, an empty file is no row.
            let whole = (!text.is_empty()).then(|| {
                let mut texts = StringBuilder::new();
                texts.append_value(text);
                rows(&columns.wanted, texts, 1, path)
            });
            return Ok(Box::new(whole.into_iter()));
        }
        let lines = Lines::new(reader, path, separator);
        Ok(Box::new(TextRows { lines, path: path.to_owned(), wanted: columns.wanted.clone() }))
    }
}

impl Iterator for TextRows {
    type Item = Result<RecordBatch, FileSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut texts = StringBuilder::new();
        let (mut count, mut bytes) = (0, 0);
        while count < MAX_ROWS && bytes < MAX_BYTES {
            match self.lines.next() {
                Ok(Some(line)) => {
                    bytes += line.len();
                    count += 1;
                    texts.append_value(line);
                }
                Ok(None) => break,
                Err(error) => return Some(Err(error)),
            }
        }
        (count > 0).then(|| rows(&self.wanted, texts, count, &self.path))
    }
}

fn rows(
    wanted: &Fields,
    mut texts: StringBuilder,
    count: usize,
    path: &Path,
) -> Result<RecordBatch, FileSourceError> {
    let texts: ArrayRef = Arc::new(texts.finish());
    format::batch(wanted, vec![texts; wanted.len()], count, path)
}
