//! Valid messages by chance, for tests and fuzzers of whatever takes messages.

use bytes::Bytes;

use super::{Field, Kind, Shaped};
use crate::varint;

/// A valid message in this version. Everything that may be chosen, such as the length of an array, is chosen by
/// `entropy`; when that is used up, the rest is zero.
pub fn sample_message<M: Shaped>(version: i16, entropy: &[u8]) -> Bytes {
    let mut writer =
        Writer { out: Vec::new(), entropy, version, flexible: M::SHAPE.is_flexible(version), in_tag: false };
    writer.fields(M::SHAPE.fields);
    writer.out.into()
}

/// Writes a message along its shape.
struct Writer<'a> {
    out: Vec<u8>,
    entropy: &'a [u8],
    version: i16,
    flexible: bool,
    in_tag: bool,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &[Field]) {
        let present = fields.iter().filter(|field| field.is_in(self.version));
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) = present.partition(|field| field.tag.is_some());
        for field in plain {
            self.value(field.kind);
        }
        if self.flexible {
            self.tagged_fields(&tagged);
        }
    }

    fn tagged_fields(&mut self, known: &[&Field]) {
        let chosen: Vec<_> = known.iter().filter(|_| self.choose(2) == 1).collect();
        let unknown = self.choose(2);
        varint::put_u32(&mut self.out, (chosen.len() + unknown) as u32);
        for field in chosen {
            let outer = std::mem::take(&mut self.out);
            let outer_in_tag = std::mem::replace(&mut self.in_tag, true);
            self.value(field.kind);
            let value = std::mem::replace(&mut self.out, outer);
            self.in_tag = outer_in_tag;
            self.tagged_field(field.tag.unwrap_or_default(), &value);
        }
        if unknown == 1 {
            self.tagged_field(1000, b"unknown");
        }
    }

    fn tagged_field(&mut self, tag: u32, value: &[u8]) {
        varint::put_u32(&mut self.out, tag);
        varint::put_u32(&mut self.out, value.len() as u32);
        self.out.extend_from_slice(value);
    }

    fn value(&mut self, kind: Kind) {
        match kind {
            // Starts with 1, which makes a boolean true and no number a default, for a tagged default is left out.
            Kind::Fixed(size) => {
                self.out.push(1);
                (1..size).for_each(|_| self.push_chosen());
            }
            Kind::Str => {
                let length = self.choose(5);
                self.length(length, 2);
                self.out.extend_from_slice(&b"abcd"[..length]);
            }
            Kind::Bytes | Kind::Records => {
                let length = self.choose(5);
                self.length(length, 4);
                (0..length).for_each(|_| self.push_chosen());
            }
            Kind::Group(fields) => self.fields(fields),
            Kind::Nullable(fields) => self.nullable(fields),
            Kind::Array(fields) => (0..self.count()).for_each(|_| self.fields(fields)),
            Kind::List(element) => (0..self.count()).for_each(|_| self.value(element.kind)),
        }
    }

    fn nullable(&mut self, fields: &[Field]) {
        match self.choose(2) {
            0 => self.out.push(0xff),
            _ => {
                self.out.push(1);
                self.fields(fields);
            }
        }
    }

    fn count(&mut self) -> usize {
        let count = if self.in_tag { 1 } else { self.choose(3) };
        self.length(count, 4);
        count
    }

    fn length(&mut self, length: usize, prefix_bytes: usize) {
        if self.flexible {
            varint::put_u32(&mut self.out, length as u32 + 1);
        } else {
            self.out.extend_from_slice(&(length as u32).to_be_bytes()[4 - prefix_bytes..]);
        }
    }

    fn push_chosen(&mut self) {
        let byte = self.choose(256) as u8;
        self.out.push(byte);
    }

    fn choose(&mut self, choices: usize) -> usize {
        let Some((&first, rest)) = self.entropy.split_first() else { return 0 };
        self.entropy = rest;
        usize::from(first) % choices
    }
}
