use std::io::Write;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Compression, DecompressError, finished, read_bounded};

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    finished(encoder.write_all(bytes).and_then(|()| encoder.finish()))
}

pub(super) fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    read_bounded(Compression::Gzip, MultiGzDecoder::new(bytes), max_bytes)
}
