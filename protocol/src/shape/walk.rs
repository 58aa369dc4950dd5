use thiserror::Error;

use super::{Field, Kind, Shape};
use crate::varint;

/// More elements than any cluster's metadata has, in all arrays of a message together.
const MAX_ELEMENTS: usize = 1 << 22;

/// Each costs a node of a map when it is decoded, hundreds of bytes for the three that it takes on the wire.
const MAX_UNKNOWN_TAGS: usize = 1 << 16;

/// Where and why a walk ended before the end of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at byte {at_byte}: {fault}")]
pub struct Malformed {
    pub at_byte: usize,
    pub fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    #[error("{needed_bytes} bytes are claimed or needed but {left_bytes} are left")]
    Cut { needed_bytes: usize, left_bytes: usize },
    #[error("an array claims {claimed} elements but {left_bytes} bytes are left")]
    Count { claimed: usize, left_bytes: usize },
    #[error("the message has more than {limit} {of_what}")]
    TooMany { of_what: &'static str, limit: usize },
    #[error("length {claimed} is negative and does not mean null")]
    NegativeLength { claimed: i32 },
    #[error("a varint is cut short or too long")]
    Varint,
    #[error("tagged field {tag} does not fill the {size_bytes} bytes that it claims")]
    TagSize { tag: u32, size_bytes: usize },
    #[error("{left_bytes} bytes are left behind the last field")]
    Trailing { left_bytes: usize },
}

/// What a walk has found in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Where the message ends.
    pub(crate) size_bytes: usize,
    /// Array elements and unknown tagged fields, in all.
    pub(crate) elements: usize,
}

impl Walked {
    /// Nothing may follow the message.
    pub(crate) fn fills(self, body: &[u8]) -> Result<(), Malformed> {
        let left_bytes = body.len() - self.size_bytes;
        if left_bytes > 0 {
            return Err(Malformed { at_byte: self.size_bytes, fault: Fault::Trailing { left_bytes } });
        }
        Ok(())
    }
}

/// Checks that `body` begins with a message of this shape. Calls `on_records` with the place of the length of each
/// [`Kind::Records`] field, in order.
pub(crate) fn walk(
    shape: &Shape,
    version: i16,
    body: &[u8],
    on_records: impl FnMut(usize),
) -> Result<Walked, Malformed> {
    let flexible = shape.is_flexible(version);
    let (elements, unknown_tags) = (0, 0);
    let mut walker =
        Walker { body, at: 0, end: body.len(), version, flexible, elements, unknown_tags, on_records };
    match walker.fields(shape.fields) {
        Ok(()) => Ok(Walked { size_bytes: walker.at, elements: walker.elements + walker.unknown_tags }),
        Err(fault) => Err(Malformed { at_byte: walker.at, fault }),
    }
}

struct Walker<'a, F> {
    body: &'a [u8],
    at: usize,
    /// The end of the body, or of the tagged field that the walk is in.
    end: usize,
    version: i16,
    flexible: bool,
    elements: usize,
    unknown_tags: usize,
    on_records: F,
}

impl<F: FnMut(usize)> Walker<'_, F> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Fault> {
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            if field.is_in(self.version) {
                self.value(field.kind)?;
            }
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn value(&mut self, kind: Kind) -> Result<(), Fault> {
        match kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::Str => self.string(),
            Kind::Bytes => self.bytes(),
            Kind::Records => {
                (self.on_records)(self.at);
                self.bytes()
            }
            Kind::Group(fields) => self.fields(fields),
            Kind::Nullable(fields) => match self.take::<1>()? {
                [1] => self.fields(fields),
                _ => Ok(()),
            },
            Kind::Array(fields) => (0..self.count()?).try_for_each(|_| self.fields(fields)),
            Kind::List(element) => (0..self.count()?).try_for_each(|_| self.value(element.kind)),
        }
    }

    fn tagged_fields(&mut self, fields: &[Field]) -> Result<(), Fault> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size_bytes = self.varint()? as usize;
            let known = fields.iter().find(|field| field.tag == Some(tag) && field.is_in(self.version));
            match known {
                Some(field) => self.tagged_field(tag, field, size_bytes)?,
                None => self.unknown_tagged_field(size_bytes)?,
            }
        }
        Ok(())
    }

    fn tagged_field(&mut self, tag: u32, field: &Field, size_bytes: usize) -> Result<(), Fault> {
        self.check_left(size_bytes)?;
        let outer_end = std::mem::replace(&mut self.end, self.at + size_bytes);
        self.value(field.kind)?;
        if self.at != self.end {
            return Err(Fault::TagSize { tag, size_bytes });
        }
        self.end = outer_end;
        Ok(())
    }

    fn unknown_tagged_field(&mut self, size_bytes: usize) -> Result<(), Fault> {
        self.unknown_tags += 1;
        if self.unknown_tags > MAX_UNKNOWN_TAGS {
            return Err(Fault::TooMany { of_what: "unknown tagged fields", limit: MAX_UNKNOWN_TAGS });
        }
        self.skip(size_bytes)
    }

    fn string(&mut self) -> Result<(), Fault> {
        let length = if self.flexible {
            self.compact_length()?
        } else {
            nullable_length(i32::from(i16::from_be_bytes(self.take()?)))?
        };
        self.skip(length)
    }

    fn bytes(&mut self) -> Result<(), Fault> {
        let length = self.length()?;
        self.skip(length)
    }

    /// The number of elements of an array, 0 if it is null. Every element takes a byte at least.
    fn count(&mut self) -> Result<usize, Fault> {
        let claimed = self.length()?;
        let left_bytes = self.end - self.at;
        if claimed > left_bytes {
            return Err(Fault::Count { claimed, left_bytes });
        }
        self.elements += claimed;
        if self.elements > MAX_ELEMENTS {
            return Err(Fault::TooMany { of_what: "array elements", limit: MAX_ELEMENTS });
        }
        Ok(claimed)
    }

    fn length(&mut self) -> Result<usize, Fault> {
        if self.flexible { self.compact_length() } else { nullable_length(i32::from_be_bytes(self.take()?)) }
    }

    /// Compact lengths are one more than what they count; 0 is null.
    fn compact_length(&mut self) -> Result<usize, Fault> {
        Ok((self.varint()? as usize).saturating_sub(1))
    }

    fn varint(&mut self) -> Result<u32, Fault> {
        let mut rest = &self.body[self.at..self.end];
        let value = varint::take_u32(&mut rest).ok_or(Fault::Varint)?;
        self.at = self.end - rest.len();
        Ok(value)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let left = &self.body[self.at..self.end];
        let taken = left.first_chunk().ok_or(Fault::Cut { needed_bytes: N, left_bytes: left.len() })?;
        self.at += N;
        Ok(*taken)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Fault> {
        self.check_left(bytes)?;
        self.at += bytes;
        Ok(())
    }

    fn check_left(&self, needed_bytes: usize) -> Result<(), Fault> {
        let left_bytes = self.end - self.at;
        if needed_bytes > left_bytes { Err(Fault::Cut { needed_bytes, left_bytes }) } else { Ok(()) }
    }
}

/// Length −1 is null, which takes no bytes.
fn nullable_length(claimed: i32) -> Result<usize, Fault> {
    match claimed {
        -1 => Ok(0),
        _ => usize::try_from(claimed).map_err(|_| Fault::NegativeLength { claimed }),
    }
}
