//! Values as text: strings without their quotes, all else as JSON.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, NullBufferBuilder, StringArray};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::error::ArrowError;

use super::column::{Fit, offset};
use super::scanner::{Malformed, Scanner};
use super::string::RawString;

#[derive(Debug)]
pub(super) struct TextColumn {
    text: String,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    too_long: bool,
}

impl Default for TextColumn {
    fn default() -> TextColumn {
        TextColumn {
            text: String::new(),
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
            too_long: false,
        }
    }
}

impl TextColumn {
    #[inline]
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<Fit, Malformed> {
        match scanner.peek()? {
            quote if scanner.is_quote(quote) => self.push_string(scanner.string()?)?,
            _ if scanner.is_at_null() => {
                scanner.scalar()?;
                self.push(None);
            }
            _ => {
                scanner.copy(&mut self.text)?;
                self.end(true);
            }
        }
        Ok(Fit::Good)
    }

    pub(super) fn push_string(&mut self, string: RawString<'_>) -> Result<(), Malformed> {
        string.append_to(&mut self.text)?;
        self.end(true);
        Ok(())
    }

    pub(super) fn push(&mut self, text: Option<&str>) {
        self.text.push_str(text.unwrap_or_default());
        self.end(text.is_some());
    }

    #[inline]
    fn end(&mut self, is_valid: bool) {
        self.too_long |= i32::try_from(self.text.len()).is_err();
        self.offsets.push(offset(self.text.len()));
        self.nulls.append(is_valid);
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        let end = self.offsets.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
        self.text.truncate(end);
        self.nulls.truncate(len);
    }

    pub(super) fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        if self.too_long {
            return Err(ArrowError::OffsetOverflowError(self.text.len()));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let values = Buffer::from_vec(self.text.into_bytes());
        Ok(Arc::new(StringArray::try_new(offsets, values, self.nulls.finish())?))
    }
}
