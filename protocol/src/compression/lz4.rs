use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Compression, DecompressError, finished, read_bounded};

/// Kafka's Java client reads frames of independent blocks only, and writes blocks of 64 KiB.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    finished(encoder.write_all(bytes).and_then(|()| Ok(encoder.finish()?)))
}

pub(super) fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    read_bounded(Compression::Lz4, FrameDecoder::new(bytes), max_bytes)
}
