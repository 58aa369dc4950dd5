use std::borrow::Cow;

use super::{BatchError, BatchHeader, RecordBatch, RecordFault};
use crate::compression::{self, Compression};
use crate::varint;

/// The records of one batch, decompressed. Iterating copies nothing.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: BatchHeader,
    bytes: Cow<'a, [u8]>,
}

/// One record; everything in it is borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: i64,
    /// Milliseconds since 1970, or [`NO_TIMESTAMP`](crate::NO_TIMESTAMP); the batch's own if that is log append time.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// A record's headers, in order; keys may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    left: u32,
    bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 if the producer kept to the protocol; nobody has checked.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Iterates over [`Records`]; ends after the first fault.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    next: u32,
    count: u32,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn open(batch: &RecordBatch<'a>, max_bytes: usize) -> Result<Self, BatchError> {
        let header = *batch.header();
        let bytes = match header.compression()? {
            Compression::None => Cow::Borrowed(batch.body()),
            codec => {
                let decompressed = compression::decompress(codec, batch.body(), max_bytes);
                let base_offset = header.base_offset;
                Cow::Owned(decompressed.map_err(|cause| BatchError::Decompress { base_offset, cause })?)
            }
        };
        Ok(Self { header, bytes })
    }

    pub fn iter(&self) -> RecordIter<'_> {
        let count = u32::try_from(self.header.records_count).unwrap_or(0);
        RecordIter { header: self.header, next: 0, count, rest: &self.bytes }
    }

    /// The decompressed records without the batch's header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
}

impl<'a> IntoIterator for &'a Records<'_> {
    type Item = Result<Record<'a>, BatchError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return self.end();
        }
        let index = self.next;
        match RawRecord::take(&mut self.rest) {
            Ok(raw) => {
                self.next += 1;
                Some(Ok(raw.resolve(&self.header)))
            }
            Err(fault) => self.fail(index, fault),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A count is only a claim: a record takes seven bytes at least.
        let left = (self.count - self.next) as usize;
        (0, Some(left.min(self.rest.len() / RawRecord::MIN_BYTES + 1)))
    }
}

impl RecordIter<'_> {
    /// How many of the records' bytes lie behind the last record given.
    pub(super) fn left_bytes(&self) -> usize {
        self.rest.len()
    }

    fn end<T>(&mut self) -> Option<Result<T, BatchError>> {
        if self.rest.is_empty() { None } else { self.fail(self.next, RecordFault::TrailingBytes) }
    }

    fn fail<T>(&mut self, index: u32, fault: RecordFault) -> Option<Result<T, BatchError>> {
        self.next = self.count;
        self.rest = &[];
        Some(Err(BatchError::Record { base_offset: self.header.base_offset, index, fault }))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        take_header(&mut self.bytes)
    }
}

impl<'a> Headers<'a> {
    /// The number of headers that are left.
    pub fn len(&self) -> usize {
        self.left as usize
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Walks the headers once, so that iterating over them later cannot fail.
    #[inline]
    fn check(bytes: &'a [u8]) -> Result<Self, RecordFault> {
        // Most records have none, and this runs for each record of a produced batch.
        if let [0] = bytes {
            return Ok(Self { left: 0, bytes: &[] });
        }
        let mut rest = bytes;
        let count = varint::take_i32(&mut rest).ok_or(RecordFault::Cut)?;
        let left = u32::try_from(count).map_err(|_| RecordFault::Cut)?;
        let headers = Self { left, bytes: rest };
        for _ in 0..left {
            take_header(&mut rest).ok_or(RecordFault::Cut)?;
        }
        if rest.is_empty() { Ok(headers) } else { Err(RecordFault::Overlong) }
    }
}

/// A record before the batch's base offset and timestamp are added.
pub(super) struct RawRecord<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    /// Length, attributes, two deltas, two lengths and the header count, a byte each.
    const MIN_BYTES: usize = 7;

    #[inline]
    pub(super) fn take(bytes: &mut &'a [u8]) -> Result<Self, RecordFault> {
        let mut record = take_length_prefixed(bytes).ok_or(RecordFault::Cut)?;
        Self::parse(&mut record)
    }

    /// A record's attributes, its timestamp delta, and everything behind that.
    pub(super) fn split_timestamp(bytes: &mut &'a [u8]) -> Result<(u8, i64, &'a [u8]), RecordFault> {
        let record = take_length_prefixed(bytes).ok_or(RecordFault::Cut)?;
        let (&attributes, mut rest) = record.split_first().ok_or(RecordFault::Cut)?;
        let timestamp_delta = varint::take_i64(&mut rest).ok_or(RecordFault::Cut)?;
        Ok((attributes, timestamp_delta, rest))
    }

    #[inline]
    fn parse(record: &mut &'a [u8]) -> Result<Self, RecordFault> {
        let (_unused_attributes, rest) = record.split_first().ok_or(RecordFault::Cut)?;
        *record = rest;
        let timestamp_delta = varint::take_i64(record).ok_or(RecordFault::Cut)?;
        let offset_delta = varint::take_i32(record).ok_or(RecordFault::Cut)?;
        let key = take_nullable(record).ok_or(RecordFault::Cut)?;
        let value = take_nullable(record).ok_or(RecordFault::Cut)?;
        let headers = Headers::check(record)?;
        Ok(Self { timestamp_delta, offset_delta, key, value, headers })
    }

    fn resolve(self, header: &BatchHeader) -> Record<'a> {
        Record {
            offset: header.base_offset.wrapping_add(i64::from(self.offset_delta)),
            timestamp: header.record_timestamp(self.timestamp_delta),
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }
}

#[inline]
fn take_header<'a>(bytes: &mut &'a [u8]) -> Option<Header<'a>> {
    let key = take_length_prefixed(bytes)?;
    let value = take_nullable(bytes)?;
    Some(Header { key, value })
}

#[inline]
fn take_length_prefixed<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take_i32(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Length −1 is null; a length below that is refused.
#[inline]
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint::take_i32(bytes)? {
        -1 => Some(None),
        length => {
            let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            *bytes = rest;
            Some(Some(taken))
        }
    }
}
