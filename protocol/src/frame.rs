//! Frames: on a connection, every request and response is preceded by its size, a big-endian `i32`.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Kafka's default for `socket.request.max.bytes`.
pub const DEFAULT_MAX_FRAME_BYTES: usize = 104_857_600;

/// The size prefix of a frame.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// A reader never has less room than this, so that small frames arrive many to a read.
const MIN_READ_BYTES: usize = 16 * 1024;

/// Cuts frames out of the bytes that a connection has received.
#[derive(Debug, Clone, Copy)]
pub struct FrameDecoder {
    max_frame_bytes: usize,
}

/// The size prefix cannot be followed; the connection is out of step and must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error(
        "a frame claims {claimed_bytes} bytes, which is negative: the peer does not speak Kafka's protocol"
    )]
    Negative { claimed_bytes: i32 },
    #[error(
        "a frame claims {claimed_bytes} bytes, more than the {max_frame_bytes} that socket.request.max.bytes allows"
    )]
    TooLong { claimed_bytes: usize, max_frame_bytes: usize },
}

impl FrameDecoder {
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { max_frame_bytes }
    }

    /// Takes the next whole frame, without its size prefix, from the front of `received`.
    ///
    /// Answers `None` while the frame is incomplete, and then leaves room in `received` for the next read. The room
    /// at most doubles what has arrived, so a peer that claims a long frame must really send it.
    pub fn decode(&self, received: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = received.first_chunk::<FRAME_PREFIX_BYTES>() else {
            received.reserve(MIN_READ_BYTES);
            return Ok(None);
        };
        let frame_bytes = self.check(i32::from_be_bytes(*prefix))?;
        let missing = (FRAME_PREFIX_BYTES + frame_bytes).saturating_sub(received.len());
        if missing > 0 {
            received.reserve(missing.min(received.len().max(MIN_READ_BYTES)));
            return Ok(None);
        }
        received.advance(FRAME_PREFIX_BYTES);
        Ok(Some(received.split_to(frame_bytes).freeze()))
    }

    /// The size of the frame that `received` begins with, its prefix included, as far as it is known.
    pub fn size_of_next(&self, received: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = received.first_chunk::<FRAME_PREFIX_BYTES>() else { return Ok(None) };
        Ok(Some(FRAME_PREFIX_BYTES + self.check(i32::from_be_bytes(*prefix))?))
    }

    fn check(&self, claimed_bytes: i32) -> Result<usize, FrameError> {
        let frame_bytes =
            usize::try_from(claimed_bytes).map_err(|_| FrameError::Negative { claimed_bytes })?;
        if frame_bytes > self.max_frame_bytes {
            let max_frame_bytes = self.max_frame_bytes;
            return Err(FrameError::TooLong { claimed_bytes: frame_bytes, max_frame_bytes });
        }
        Ok(frame_bytes)
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_FRAME_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_reads_end() {
        let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de";
        for first_read in 0..stream.len() {
            let mut received = BytesMut::from(&stream[..first_read]);
            let mut frames = drain(&mut received);
            received.extend_from_slice(&stream[first_read..]);
            frames.extend(drain(&mut received));
            assert_eq!(frames, ["abc", "", "de"], "first read of {first_read} bytes");
        }
    }

    #[test]
    fn a_lying_size_is_refused_or_costs_no_memory() {
        let decoder = FrameDecoder::new(1000);
        let decode = |claimed: i32| decoder.decode(&mut BytesMut::from(&claimed.to_be_bytes()[..]));
        assert_eq!(decode(-1), Err(FrameError::Negative { claimed_bytes: -1 }));
        assert_eq!(decode(1001), Err(FrameError::TooLong { claimed_bytes: 1001, max_frame_bytes: 1000 }));
        assert_eq!(decode(1000), Ok(None));

        let mut received = BytesMut::from(&(DEFAULT_MAX_FRAME_BYTES as i32).to_be_bytes()[..]);
        assert_eq!(FrameDecoder::default().decode(&mut received), Ok(None));
        assert!(received.capacity() <= 2 * MIN_READ_BYTES, "{} bytes reserved", received.capacity());
    }

    fn drain(received: &mut BytesMut) -> Vec<Bytes> {
        std::iter::from_fn(|| FrameDecoder::new(16).decode(received).unwrap()).collect()
    }
}
