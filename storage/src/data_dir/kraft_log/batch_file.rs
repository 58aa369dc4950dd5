//! The batches of a file, one after the other, however long it is.

use std::{io, path::Path};

use ottla_protocol::batch::{BatchError, BatchHeader, HEADER_BYTES, RecordBatch};

use crate::disk::DiskFile;

/// Twice what a KRaft leader puts into one batch at most.
const MAX_BATCH_BYTES: usize = 16 << 20;
/// Kafka writes these batches uncompressed.
pub(super) const DECOMPRESSED_MAX_BYTES: usize = 64 << 20;
/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;

pub(super) struct BatchFile {
    file: DiskFile,
    size_bytes: u64,
    /// What follows `position`.
    window: Vec<u8>,
    position: u64,
}

impl BatchFile {
    pub(super) fn open(path: &Path) -> io::Result<BatchFile> {
        let file = DiskFile::open(path)?;
        let size_bytes = file.len_bytes()?;
        Ok(BatchFile { file, size_bytes, window: Vec::new(), position: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the next batch begins, or what is not one.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn left_bytes(&self) -> u64 {
        self.size_bytes - self.position
    }

    /// The next batch, with its CRC, count and records checked; `None` at the file's end. Behind a batch that is not
    /// sound nothing more is found.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<RecordBatch<'_>, BatchError>>> {
        if self.left_bytes() == 0 {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = match BatchHeader::parse(&self.window) {
            Ok(header) => header,
            Err(fault) => return Ok(Some(Err(fault))),
        };
        let claimed_bytes = header.size_bytes();
        if claimed_bytes > MAX_BATCH_BYTES {
            let left_bytes = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX);
            return Ok(Some(Err(BatchError::Cut {
                base_offset: header.base_offset,
                claimed_bytes,
                left_bytes,
            })));
        }
        self.fill(claimed_bytes)?;
        Ok(Some(checked(&self.window)))
    }

    /// Goes on behind the batch that [`BatchFile::next`] found.
    pub(super) fn advance(&mut self, batch_bytes: usize) {
        self.position += batch_bytes as u64;
        self.window.drain(..batch_bytes);
    }

    /// Whether there is a batch somewhere behind the one that is not sound. What a stopped machine leaves of its last
    /// writes has none; a file that was damaged later has. Looks no further than two batches of full size.
    pub(super) fn has_batch_further_on(&mut self) -> io::Result<bool> {
        self.fill(2 * MAX_BATCH_BYTES)?;
        let mut unchecked_bytes = 2 * self.window.len();
        for at in 1..self.window.len() {
            let Ok((batch, _)) = RecordBatch::parse(&self.window[at..]) else { continue };
            // Zeros and text pass for small headers, never for a CRC, which is not free.
            let Some(left) = unchecked_bytes.checked_sub(batch.size_bytes()) else { return Ok(false) };
            unchecked_bytes = left;
            if checked(batch.bytes()).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the window hold `wanted` bytes, or what the file has left.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let left = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let have = self.window.len();
        if have >= wanted {
            return Ok(());
        }
        self.window.resize(wanted.max(WINDOW_BYTES).min(left), 0);
        self.file.read_exact_at(self.position + have as u64, &mut self.window[have..])
    }
}

/// The batch at the front of `bytes`.
fn checked(bytes: &[u8]) -> Result<RecordBatch<'_>, BatchError> {
    let (batch, _) = RecordBatch::parse(bytes)?;
    batch.validate(DECOMPRESSED_MAX_BYTES)?;
    Ok(batch)
}
