use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{Compression, DecompressError, corrupt, read_bounded};

/// Encoders claim the window of their level even for little data; this is what every zstd decoder takes.
const MIN_WINDOW_LIMIT_BYTES: usize = 8 << 20;

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(super) fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let window_limit = max_bytes.max(MIN_WINDOW_LIMIT_BYTES) as u64;
    let decoder = StreamingDecoder::new_with_max_window_size(bytes, window_limit);
    let decoder = decoder.map_err(|error| corrupt(Compression::Zstd, &error))?;
    read_bounded(Compression::Zstd, decoder, max_bytes)
}
