//! Reads and writes the fields of a record, in the plain and the flexible encoding (KIP-482).

use bytes::{Buf, BufMut};
use thiserror::Error;
use uuid::Uuid;

use crate::varint;

/// Why bytes are not a record of the schema that they should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{record} is damaged or from a later Kafka: {fault}")]
pub struct SchemaError {
    pub record: &'static str,
    pub fault: SchemaFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SchemaFault {
    #[error("it is cut short, or a length in it leads past its end")]
    Cut,
    #[error("version {version} is not known; the last known is {latest}")]
    UnknownVersion { version: i16, latest: i16 },
    #[error("frame version {version} is not known; the only one is 1")]
    UnknownFrame { version: u32 },
    #[error("a string is not UTF-8")]
    NotUtf8,
    #[error("a field that must have a value is null")]
    UnexpectedNull,
    #[error("bytes follow the last field")]
    TrailingBytes,
}

impl SchemaFault {
    pub(in crate::records) fn of(self, record: &'static str) -> SchemaError {
        SchemaError { record, fault: self }
    }
}

/// Takes fields off the front of a record.
pub(in crate::records) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(in crate::records) fn plain(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    pub(in crate::records) fn flexible(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: true }
    }

    /// Takes the version that precedes a value in a coordinator's topic; versions from `flexible_from` on are flexible.
    pub(in crate::records) fn versioned(
        bytes: &'a [u8],
        latest: i16,
        flexible_from: i16,
    ) -> Result<(i16, Self), SchemaFault> {
        let mut reader = Self::plain(bytes);
        let version = reader.i16()?;
        if !(0..=latest).contains(&version) {
            return Err(SchemaFault::UnknownVersion { version, latest });
        }
        reader.flexible = version >= flexible_from;
        Ok((version, reader))
    }

    pub(in crate::records) fn i8(&mut self) -> Result<i8, SchemaFault> {
        self.rest.try_get_i8().map_err(|_| SchemaFault::Cut)
    }

    pub(in crate::records) fn i16(&mut self) -> Result<i16, SchemaFault> {
        self.rest.try_get_i16().map_err(|_| SchemaFault::Cut)
    }

    pub(in crate::records) fn i32(&mut self) -> Result<i32, SchemaFault> {
        self.rest.try_get_i32().map_err(|_| SchemaFault::Cut)
    }

    pub(in crate::records) fn i64(&mut self) -> Result<i64, SchemaFault> {
        self.rest.try_get_i64().map_err(|_| SchemaFault::Cut)
    }

    pub(in crate::records) fn uuid(&mut self) -> Result<Uuid, SchemaFault> {
        self.rest.try_get_u128().map(Uuid::from_u128).map_err(|_| SchemaFault::Cut)
    }

    pub(in crate::records) fn varint(&mut self) -> Result<u32, SchemaFault> {
        varint::take_u32(&mut self.rest).ok_or(SchemaFault::Cut)
    }

    pub(in crate::records) fn string(&mut self) -> Result<String, SchemaFault> {
        self.nullable_string()?.ok_or(SchemaFault::UnexpectedNull)
    }

    pub(in crate::records) fn nullable_string(&mut self) -> Result<Option<String>, SchemaFault> {
        let length = if self.flexible { self.compact_length()? } else { plain_length(self.i16()?.into())? };
        let Some(length) = length else { return Ok(None) };
        let text = self.take(length)?.to_vec();
        String::from_utf8(text).map(Some).map_err(|_| SchemaFault::NotUtf8)
    }

    pub(in crate::records) fn bytes(&mut self) -> Result<Vec<u8>, SchemaFault> {
        let length = self.length()?.ok_or(SchemaFault::UnexpectedNull)?;
        Ok(self.take(length)?.to_vec())
    }

    pub(in crate::records) fn array<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, SchemaFault>,
    ) -> Result<Vec<T>, SchemaFault> {
        self.nullable_array(element)?.ok_or(SchemaFault::UnexpectedNull)
    }

    pub(in crate::records) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, SchemaFault>,
    ) -> Result<Option<Vec<T>>, SchemaFault> {
        let Some(count) = self.length()? else { return Ok(None) };
        if count > self.rest.len() {
            return Err(SchemaFault::Cut);
        }
        (0..count).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    /// Hands each tagged field to `field`; one that it does not know it leaves unread. None in the plain encoding.
    pub(in crate::records) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Self) -> Result<(), SchemaFault>,
    ) -> Result<(), SchemaFault> {
        let count = if self.flexible { self.varint()? } else { 0 };
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            field(tag, &mut Self::flexible(self.take(size)?))?;
        }
        Ok(())
    }

    /// The tagged fields of a schema that has none.
    pub(in crate::records) fn no_tagged_fields(&mut self) -> Result<(), SchemaFault> {
        self.tagged_fields(|_, _| Ok(()))
    }

    /// Everything that is left, as it is.
    pub(in crate::records) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest).to_vec()
    }

    pub(in crate::records) fn finish<T>(self, record: T) -> Result<T, SchemaFault> {
        if self.rest.is_empty() { Ok(record) } else { Err(SchemaFault::TrailingBytes) }
    }

    fn length(&mut self) -> Result<Option<usize>, SchemaFault> {
        if self.flexible { self.compact_length() } else { plain_length(self.i32()?) }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, SchemaFault> {
        Ok((self.varint()? as usize).checked_sub(1))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], SchemaFault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SchemaFault::Cut)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Appends fields to a record.
pub(in crate::records) struct Writer {
    out: Vec<u8>,
    flexible: bool,
}

impl Writer {
    pub(in crate::records) fn plain() -> Self {
        Self { out: Vec::new(), flexible: false }
    }

    pub(in crate::records) fn flexible() -> Self {
        Self { out: Vec::new(), flexible: true }
    }

    /// Starts with a version, as the keys and values of a coordinator's topic do.
    pub(in crate::records) fn versioned(version: i16, flexible_from: i16) -> Self {
        let mut writer = Self { out: Vec::new(), flexible: version >= flexible_from };
        writer.i16(version);
        writer
    }

    pub(in crate::records) fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub(in crate::records) fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub(in crate::records) fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(in crate::records) fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub(in crate::records) fn uuid(&mut self, value: Uuid) {
        self.out.put_u128(value.as_u128());
    }

    pub(in crate::records) fn varint(&mut self, value: u32) {
        varint::put_u32(&mut self.out, value);
    }

    pub(in crate::records) fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub(in crate::records) fn nullable_string(&mut self, value: Option<&str>) {
        let length = value.map(str::len);
        if self.flexible {
            self.compact_length(length);
        } else {
            self.out.put_i16(length.map_or(-1, |length| length as i16));
        }
        self.out.put_slice(value.unwrap_or_default().as_bytes());
    }

    pub(in crate::records) fn bytes(&mut self, value: &[u8]) {
        self.length(Some(value.len()));
        self.out.put_slice(value);
    }

    pub(in crate::records) fn array<T>(&mut self, values: &[T], element: impl FnMut(&mut Self, &T)) {
        self.nullable_array(Some(values), element);
    }

    pub(in crate::records) fn nullable_array<T>(
        &mut self,
        values: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T),
    ) {
        self.length(values.map(<[T]>::len));
        for value in values.unwrap_or_default() {
            element(self, value);
        }
    }

    /// Writes the tagged fields that are there, in the order of their tags. Nothing in the plain encoding.
    pub(in crate::records) fn tagged_fields<const N: usize>(&mut self, fields: [Option<(u32, Vec<u8>)>; N]) {
        if !self.flexible {
            return;
        }
        self.varint(fields.iter().flatten().count() as u32);
        for (tag, value) in fields.into_iter().flatten() {
            self.varint(tag);
            self.varint(value.len() as u32);
            self.out.put_slice(&value);
        }
    }

    pub(in crate::records) fn no_tagged_fields(&mut self) {
        self.tagged_fields([]);
    }

    /// Appends an encoded message as it is.
    pub(in crate::records) fn raw(&mut self, message: &[u8]) {
        self.out.put_slice(message);
    }

    pub(in crate::records) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact_length(length);
        } else {
            self.out.put_i32(length.map_or(-1, |length| length as i32));
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        self.varint(length.map_or(0, |length| length as u32 + 1));
    }
}

/// A tagged field, encoded by `write`, if there is a value.
pub(in crate::records) fn tagged<T>(
    tag: u32,
    value: Option<T>,
    write: impl FnOnce(&mut Writer, T),
) -> Option<(u32, Vec<u8>)> {
    let mut writer = Writer::flexible();
    write(&mut writer, value?);
    Some((tag, writer.finish()))
}

/// Length −1 is null; what is below that cannot be.
fn plain_length(length: i32) -> Result<Option<usize>, SchemaFault> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| SchemaFault::Cut),
    }
}
