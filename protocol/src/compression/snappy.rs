//! Snappy comes in two forms: a raw block, as librdkafka and most others write it, and the blocks with a header of
//! xerial's snappy-java, as the Java client writes and expects it.

use snap::raw::{Decoder, Encoder, decompress_len};

use super::{Compression, DecompressError, corrupt};

/// Magic, then version 1 and lowest compatible version 1, both big-endian.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_MAGIC_BYTES: usize = 8;
/// What snappy-java puts into a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// No element of the format puts out more than 64 bytes, and each takes one at least.
const MAX_EXPANSION: usize = 64;

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut out = XERIAL_HEADER.to_vec();
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).expect("a block is far below snappy's limit of 4 GiB");
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    out
}

pub(super) fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    if !bytes.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_BYTES]) {
        append_block(&mut out, bytes, max_bytes)?;
        return Ok(out);
    }
    let mut blocks = bytes.get(XERIAL_HEADER.len()..).ok_or_else(cut)?;
    while !blocks.is_empty() {
        let (length, rest) = blocks.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        append_block(&mut out, block, max_bytes)?;
        blocks = rest;
    }
    Ok(out)
}

fn append_block(out: &mut Vec<u8>, block: &[u8], max_bytes: usize) -> Result<(), DecompressError> {
    let codec = Compression::Snappy;
    let claimed = decompress_len(block).map_err(|error| corrupt(codec, &error))?;
    if claimed / MAX_EXPANSION > block.len() {
        return Err(corrupt(codec, &"a block claims more than it can hold"));
    }
    let start = out.len();
    let end = start + claimed;
    if end > max_bytes {
        return Err(DecompressError::TooLarge { codec, max_bytes });
    }
    out.resize(end, 0);
    Decoder::new().decompress(block, &mut out[start..]).map_err(|error| corrupt(codec, &error))?;
    Ok(())
}

fn cut() -> DecompressError {
    corrupt(Compression::Snappy, &"a block is cut short")
}
