//! Walks a message's raw bytes before they are decoded.
//!
//! The decoders of `kafka-protocol` reserve memory for as many elements as an array claims to have, so that a few
//! lying bytes abort the process. The walk checks each claimed length and count against the bytes that are left; what
//! passes it costs memory in proportion to the bytes that were really sent. The layouts are in `table.rs`.

mod sample;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use sample::sample_message;
pub use table::{Request, Shaped};
pub use walk::{Fault, Malformed};

pub(crate) use walk::{Walked, walk};

/// The layout of a message in all its versions.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// From this version on lengths are varints and every structure ends with tagged fields (KIP-482).
    pub(crate) flexible_from: i16,
    pub(crate) fields: &'static [Field],
}

/// A field, and the versions and the tag that it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) tag: Option<u32>,
    from: i16,
    until: i16,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// An integer, float, boolean or uuid of this many bytes.
    Fixed(usize),
    Str,
    Bytes,
    /// Bytes that hold record batches; [`walk`] reports where they are.
    Records,
    /// A structure in place.
    Group(&'static [Field]),
    /// A structure behind a byte that says whether it is there.
    Nullable(&'static [Field]),
    /// Structures.
    Array(&'static [Field]),
    /// Plain values.
    List(&'static Field),
}

pub(crate) const BOOL: Field = Field::new(Kind::Fixed(1));
pub(crate) const I8: Field = Field::new(Kind::Fixed(1));
pub(crate) const I16: Field = Field::new(Kind::Fixed(2));
pub(crate) const I32: Field = Field::new(Kind::Fixed(4));
pub(crate) const I64: Field = Field::new(Kind::Fixed(8));
pub(crate) const UUID: Field = Field::new(Kind::Fixed(16));
pub(crate) const STR: Field = Field::new(Kind::Str);
pub(crate) const BYTES: Field = Field::new(Kind::Bytes);
pub(crate) const RECORDS: Field = Field::new(Kind::Records);

pub(crate) const fn group(fields: &'static [Field]) -> Field {
    Field::new(Kind::Group(fields))
}

pub(crate) const fn nullable(fields: &'static [Field]) -> Field {
    Field::new(Kind::Nullable(fields))
}

pub(crate) const fn array(fields: &'static [Field]) -> Field {
    Field::new(Kind::Array(fields))
}

pub(crate) const fn list(element: &'static Field) -> Field {
    Field::new(Kind::List(element))
}

impl Shape {
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }
}

impl Field {
    const fn new(kind: Kind) -> Self {
        Self { kind, tag: None, from: 0, until: i16::MAX }
    }

    pub(crate) const fn from(self, version: i16) -> Self {
        Self { from: version, ..self }
    }

    /// `version` is the last that has the field.
    pub(crate) const fn until(self, version: i16) -> Self {
        Self { until: version, ..self }
    }

    pub(crate) const fn tag(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    pub(crate) fn is_in(&self, version: i16) -> bool {
        (self.from..=self.until).contains(&version)
    }
}
