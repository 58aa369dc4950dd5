use super::header::{ATTRIBUTES_AT, HEADER_BYTES};
use super::{BatchError, BatchHeader, Records};

/// A batch inside somebody's bytes: its header has been read and its length fits; the records are not looked at.
#[derive(Debug, Clone, Copy)]
pub struct RecordBatch<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

/// The batches in `bytes`, one after the other. Ends after the first error, for nothing is known to lie behind it.
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = Result<RecordBatch<'_>, BatchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parsed = RecordBatch::parse(rest);
        rest = parsed.as_ref().map_or(&[], |(_, behind)| behind);
        Some(parsed.map(|(batch, _)| batch))
    })
}

impl<'a> RecordBatch<'a> {
    /// The batch at the front of `bytes`, and the bytes behind it.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let claimed_bytes = header.size_bytes();
        let Some((bytes, rest)) = bytes.split_at_checked(claimed_bytes) else {
            let base_offset = header.base_offset;
            return Err(BatchError::Cut { base_offset, claimed_bytes, left_bytes: bytes.len() });
        };
        Ok((Self { header, bytes }, rest))
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Header and records.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they stand, compressed or not.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Compares the header's CRC-32C with the bytes that it covers.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..]);
        let BatchHeader { base_offset, crc: stored, .. } = self.header;
        if computed != stored {
            return Err(BatchError::CrcMismatch { base_offset, stored, computed });
        }
        Ok(())
    }

    /// The records, borrowed from the batch, or decompressed into at most `max_bytes`.
    pub fn records(&self, max_bytes: usize) -> Result<Records<'a>, BatchError> {
        Records::open(self, max_bytes)
    }
}
