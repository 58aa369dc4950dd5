//! The codecs of record batches, in pure Rust. Output is always bounded: a few compressed bytes can claim gigabytes.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use thiserror::Error;

/// Kafka's `compression.type`, numbered as in a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Why compressed bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecompressError {
    #[error("the {codec} data is damaged: {reason}")]
    Corrupt { codec: Compression, reason: String },
    #[error("the {codec} data holds more than the {max_bytes} bytes allowed")]
    TooLarge { codec: Compression, max_bytes: usize },
}

/// The text is no codec's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown compression type {name:?}: Kafka has none, gzip, snappy, lz4 and zstd")]
pub struct UnknownCompression {
    pub name: String,
}

/// Compresses as Kafka's Java client does, so that every client can read it.
pub fn compress(codec: Compression, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => gzip::compress(bytes),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => lz4::compress(bytes),
        Compression::Zstd => zstd::compress(bytes),
    }
}

/// Decompresses into at most `max_bytes`.
pub fn decompress(codec: Compression, bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    match codec {
        Compression::None if bytes.len() > max_bytes => Err(DecompressError::TooLarge { codec, max_bytes }),
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip::decompress(bytes, max_bytes),
        Compression::Snappy => snappy::decompress(bytes, max_bytes),
        Compression::Lz4 => lz4::decompress(bytes, max_bytes),
        Compression::Zstd => zstd::decompress(bytes, max_bytes),
    }
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a batch's attributes, bits 0 to 2.
    pub fn from_codec(codec: i16) -> Option<Self> {
        Self::ALL.get(usize::try_from(codec).ok()?).copied()
    }

    pub fn codec(self) -> i16 {
        self as i16
    }

    /// The name in Kafka's settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        let found = Self::ALL.into_iter().find(|codec| codec.name() == name);
        found.ok_or_else(|| UnknownCompression { name: name.to_owned() })
    }
}

/// Reads a decoder to its end, and no further than one byte past the limit.
fn read_bounded(
    codec: Compression,
    decoder: impl Read,
    max_bytes: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    let read = decoder.take(max_bytes as u64 + 1).read_to_end(&mut out);
    read.map_err(|error| corrupt(codec, &error))?;
    if out.len() > max_bytes { Err(DecompressError::TooLarge { codec, max_bytes }) } else { Ok(out) }
}

fn corrupt(codec: Compression, reason: &dyn fmt::Display) -> DecompressError {
    DecompressError::Corrupt { codec, reason: reason.to_string() }
}

/// Writing into a `Vec` fails only where an encoder breaks its own contract.
fn finished(compressed: io::Result<Vec<u8>>) -> Vec<u8> {
    compressed.expect("a Vec takes every write")
}
