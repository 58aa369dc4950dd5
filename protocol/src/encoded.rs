//! Messages on their way to a socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::EncodeError;
use crate::frame::FRAME_PREFIX_BYTES;
use crate::shape::{self, Shaped};
use crate::varint;

/// Room for most messages without their record data.
const HEAD_BYTES: usize = 256;

/// Record data below this size is cheaper to copy than to write from its own place.
const COPY_BELOW_BYTES: usize = 1024;

/// A frame ready for a socket, as a list of slices: record data is kept by reference, never copied.
///
/// As a [`Buf`] it can be handed to a vectored write.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    chunks: VecDeque<Bytes>,
    left_bytes: usize,
    own_bytes: usize,
}

impl Encoded {
    /// Encodes a message behind a frame's length and the header that `put_header` writes.
    ///
    /// The message is encoded with null in place of its record data; the data is then put in where the shape says
    /// that it belongs.
    pub(crate) fn frame<M: Shaped>(
        version: i16,
        mut message: M,
        put_header: impl FnOnce(&mut BytesMut),
    ) -> Result<Self, EncodeError> {
        let fail = |reason: String| EncodeError { message: message_name::<M>(), version, reason };
        let records = message.take_records();
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        head.put_bytes(0, FRAME_PREFIX_BYTES);
        put_header(&mut head);
        let body_at = head.len();
        message.encode(&mut head, version).map_err(|error| fail(error.to_string()))?;

        let mut places = Vec::with_capacity(records.len());
        if !records.is_empty() {
            let body = &head[body_at..];
            let walked = shape::walk(&M::SHAPE, version, body, |at| places.push(body_at + at));
            walked.map_err(|malformed| fail(malformed.to_string()))?;
        }
        let present =
            places.into_iter().zip(records).filter_map(|(at, data)| Some(RecordsField { at, data: data? }));
        let fields: Vec<_> = present.collect();
        let spliced = Self::splice(head, M::SHAPE.is_flexible(version), &fields);
        spliced.map_err(|size_bytes| fail(format!("it takes {size_bytes} bytes")))
    }

    /// The bytes that have not been written yet.
    pub fn size_bytes(&self) -> usize {
        self.left_bytes
    }

    /// What the message takes besides the record data that it refers to.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// The slices that have not been written yet, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// Everything in one piece, which copies the record data.
    pub fn to_bytes(&self) -> Bytes {
        self.clone().copy_to_bytes(self.left_bytes)
    }

    /// Fills record data in where `head` has nulls, and the frame's size in at its front. Answers the size if a frame
    /// cannot have it.
    fn splice(mut head: BytesMut, flexible: bool, fields: &[RecordsField]) -> Result<Self, usize> {
        let growth: usize = fields.iter().map(|field| field.growth(flexible)).sum();
        let frame_bytes = head.len() - FRAME_PREFIX_BYTES + growth;
        let claim = i32::try_from(frame_bytes).map_err(|_| frame_bytes)?;
        head[..FRAME_PREFIX_BYTES].copy_from_slice(&claim.to_be_bytes());

        let mut frame = Self::default();
        let mut between = BytesMut::new();
        let (mut copied, mut referred_bytes) = (0, 0);
        for RecordsField { at, data } in fields {
            between.put_slice(&head[copied..*at]);
            put_length(&mut between, flexible, data.len());
            copied = at + null_bytes(flexible);
            if data.len() < COPY_BELOW_BYTES {
                between.put_slice(data);
            } else {
                frame.push(between.split().freeze());
                frame.push(data.clone());
                referred_bytes += data.len();
            }
        }
        if between.is_empty() {
            head.advance(copied);
            frame.push(head.freeze());
        } else {
            between.put_slice(&head[copied..]);
            frame.push(between.freeze());
        }
        frame.own_bytes = frame.left_bytes - referred_bytes;
        Ok(frame)
    }

    fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.left_bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }
}

impl Buf for Encoded {
    fn remaining(&self) -> usize {
        self.left_bytes
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.chunks);
        filled.map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut written: usize) {
        assert!(written <= self.left_bytes, "{written} bytes written of {}", self.left_bytes);
        self.left_bytes -= written;
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
    }
}

/// Record data, and the place of the null that stands for it.
struct RecordsField {
    at: usize,
    data: Bytes,
}

impl RecordsField {
    fn growth(&self, flexible: bool) -> usize {
        let length_bytes =
            if flexible { varint::size_u32(compact(self.data.len())) } else { null_bytes(false) };
        length_bytes - null_bytes(flexible) + self.data.len()
    }
}

fn null_bytes(flexible: bool) -> usize {
    if flexible { 1 } else { 4 }
}

fn put_length(out: &mut BytesMut, flexible: bool, length: usize) {
    if flexible {
        varint::put_u32(out, compact(length));
    } else {
        out.put_i32(length as i32);
    }
}

/// In flexible versions a length is written as one more; the frame's own size is checked before.
fn compact(length: usize) -> u32 {
    length as u32 + 1
}

fn message_name<M>() -> &'static str {
    let path = std::any::type_name::<M>();
    path.rsplit("::").next().unwrap_or(path)
}
