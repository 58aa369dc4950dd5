//! Writes the segment that takes the place of others.

use std::{io, path::PathBuf};

use ottla_protocol::batch::{BatchError, BatchHeader, RecordBatch};

use super::{BatchCleaner, Cleaned};
use crate::{
    disk::DiskFile,
    partition_files::{CleanedFiles, FileKind},
    segment_indexes::SegmentIndexes,
    transaction_index::{AbortedEntry, TransactionIndex},
};

/// How much is written at a time.
const BUFFER_BYTES: usize = 1 << 20;
/// What is brought to the disk at a time, so that the end of a large segment does not hold up others who wait for it.
const SYNC_BYTES: usize = 16 << 20;

/// The new segment on its way: what stays of the batches that it is given, in order.
///
/// As long as each batch stays as it is nothing is written, so that a segment without anything to remove costs a look.
pub(crate) struct SegmentWriter<'a> {
    /// Closed before `files` are removed.
    file: Option<DiskFile>,
    files: CleanedFiles,
    interval_bytes: u32,
    indexes: SegmentIndexes,
    /// The front of the first source segment, which stays as it is; until something is written.
    unchanged: Option<&'a [u8]>,
    written_bytes: usize,
    unsynced_bytes: usize,
    buffer: Vec<u8>,
}

/// Why a batch has not found its way into the new segment.
#[derive(Debug)]
pub(crate) enum CleanError {
    Batch(BatchError),
    /// It grew beyond what positions of 31 bits reach.
    TooLarge,
    Io {
        path: PathBuf,
        source: io::Error,
    },
}

impl<'a> SegmentWriter<'a> {
    /// `first_source` is everything of the segment that comes first.
    pub(crate) fn new(files: CleanedFiles, first_source: &'a [u8], interval_bytes: u32) -> SegmentWriter<'a> {
        SegmentWriter {
            file: None,
            files,
            interval_bytes,
            indexes: SegmentIndexes::new(),
            unchanged: Some(first_source),
            written_bytes: 0,
            unsynced_bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// How many bytes the new segment has.
    fn position(&self) -> usize {
        self.written_bytes + self.buffer.len()
    }

    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch<'_>,
        cleaner: &mut BatchCleaner<'_>,
    ) -> Result<(), CleanError> {
        let (start, position) = (self.buffer.len(), self.position());
        let cleaned = cleaner.clean(batch, &mut self.buffer).map_err(CleanError::Batch)?;
        if let Some(added) = self.buffer.get(start..).filter(|added| !added.is_empty()) {
            let header = BatchHeader::parse(added).map_err(CleanError::Batch)?;
            let end = position + added.len();
            let position = u32::try_from(position).ok().filter(|_| end <= i32::MAX as usize);
            let position = position.ok_or(CleanError::TooLarge)?;
            self.indexes.note(self.files.base_offset(), position, &header, self.interval_bytes);
        }
        if let Some(source) = self.unchanged {
            if cleaned == Cleaned::Unchanged {
                self.written_bytes += self.buffer.len();
                self.buffer.clear();
                return Ok(());
            }
            self.begin_to_write(source)?;
        }
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    /// From here on the batches are those of another segment than the first.
    pub(crate) fn next_source(&mut self) -> Result<(), CleanError> {
        self.unchanged.map_or(Ok(()), |source| self.begin_to_write(source))
    }

    /// Whether the new segment would be the first source segment over again.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.unchanged.is_some_and(|source| source.len() == self.position())
    }

    /// Brings the files to the disk and closes them.
    pub(crate) fn finish(mut self, aborted: Vec<AbortedEntry>) -> Result<(CleanedFiles, u64), CleanError> {
        self.next_source()?;
        self.write_buffer()?;
        let failed = |kind| {
            let path = self.files.path(kind);
            move |source| CleanError::Io { path, source }
        };
        if let Some(file) = &self.file {
            file.sync_all().map_err(failed(FileKind::Log))?;
        }
        let (offsets, times) = (self.files.path(FileKind::OffsetIndex), self.files.path(FileKind::TimeIndex));
        let indexes = self.indexes.finish_at(&offsets, &times).map_err(failed(FileKind::OffsetIndex))?;
        indexes.iter().try_for_each(DiskFile::sync_all).map_err(failed(FileKind::OffsetIndex))?;
        let mut transactions = TransactionIndex::default();
        aborted.into_iter().for_each(|entry| transactions.push(entry));
        transactions
            .write(&self.files.path(FileKind::TransactionIndex))
            .and_then(|file| file.map_or(Ok(()), |file| file.sync_all()))
            .map_err(failed(FileKind::TransactionIndex))?;
        Ok((self.files, self.written_bytes as u64))
    }

    fn begin_to_write(&mut self, source: &'a [u8]) -> Result<(), CleanError> {
        self.unchanged = None;
        let path = self.files.path(FileKind::Log);
        let file = DiskFile::create(&path)
            .and_then(|file| {
                let chunks = source[..self.written_bytes].chunks(BUFFER_BYTES).zip(0..);
                chunks
                    .into_iter()
                    .try_for_each(|(chunk, at)| file.write_at(at * BUFFER_BYTES as u64, chunk))?;
                Ok(file)
            })
            .map_err(|source| CleanError::Io { path, source })?;
        self.file = Some(file);
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), CleanError> {
        let Some(file) = self.file.as_ref().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        self.unsynced_bytes += self.buffer.len();
        let mut written = file.write_at(self.written_bytes as u64, &self.buffer);
        if self.unsynced_bytes >= SYNC_BYTES {
            self.unsynced_bytes = 0;
            written = written.and_then(|()| file.sync_all());
        }
        written.map_err(|source| CleanError::Io { path: file.path().to_owned(), source })?;
        self.written_bytes += self.buffer.len();
        self.buffer.clear();
        Ok(())
    }
}
