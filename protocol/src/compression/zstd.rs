use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{Compression, DecompressError, corrupt, read_bounded};

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(super) fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let decoder = StreamingDecoder::new(bytes).map_err(|error| corrupt(Compression::Zstd, &error))?;
    read_bounded(Compression::Zstd, decoder, max_bytes)
}
