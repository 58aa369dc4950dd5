//! One segment, batch by batch.

use std::{io, path::Path, sync::Arc};

use ottla_protocol::batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use super::{Known, TailFault, Truncation};
use crate::{
    active_segment::ActiveSegment,
    config::Durability,
    disk::DiskFile,
    index::Entries,
    leader_epochs::LeaderEpochs,
    map::Map,
    partition_files::{FileKind, PartitionFiles, SegmentFiles},
    producer_state::ProducerStates,
    publish::SegmentEnd,
    segment::Segment,
    segment_indexes::SegmentIndexes,
    transaction_index::{AbortedEntry, TransactionIndex},
};

pub(super) struct Scan<'a> {
    pub(super) files: &'a Arc<PartitionFiles>,
    pub(super) known: Known,
    /// Batches below are in the producer snapshot already.
    pub(super) replay_from: i64,
    pub(super) producers: ProducerStates,
    pub(super) leader_epochs: LeaderEpochs,
    pub(super) scanned_bytes: u64,
}

pub(super) struct ScannedSegment {
    end: SegmentEnd,
    file_bytes: u64,
    /// Behind the end lies what a power cut has left of batches that came later. It is looked for where the next power
    /// cut must not bring it back behind what is appended from here on.
    pub(super) has_remains: bool,
    first_timestamp: Option<i64>,
    indexes: SegmentIndexes,
    aborted: TransactionIndex,
    fault: Option<TailFault>,
}

/// Where a walk begins.
struct Walk {
    indexes: SegmentIndexes,
    /// Batches before this position have their entries.
    indexed_to: u32,
    start: SegmentEnd,
}

impl Scan<'_> {
    /// Walks a segment up to its end, to the space allocated ahead, or to the first fault.
    pub(super) fn segment(&mut self, base_offset: i64, next_base: Option<i64>) -> io::Result<ScannedSegment> {
        let file = DiskFile::open(&self.files.path(base_offset, FileKind::Log))?;
        let file_bytes = file.len_bytes()?;
        // Positions are 31 bits; what lies behind cannot be a batch of this segment.
        let len_bytes = file_bytes.min(i32::MAX as u64) as usize;
        let map = match len_bytes {
            0 => None,
            _ => Some(Map::sealed(&file, len_bytes, self.files.lease(base_offset))?),
        };
        let batches = map.as_ref().map_or(&[][..], |map| map.published());
        let mut scanned = self.walk(base_offset, batches)?;
        scanned.file_bytes = file_bytes;
        scanned.has_remains =
            self.known.durability == Durability::Power && !is_zero(&batches[scanned.end.position as usize..]);
        let end = base_offset + i64::from(scanned.end.relative_offset);
        let unused = u64::from(scanned.end.position) < file_bytes;
        if let Some(next) = next_base
            && (next < end || unused && next > end)
        {
            scanned.fault.get_or_insert(TailFault::Gap { end, next });
        }
        Ok(scanned)
    }

    fn walk(&mut self, base_offset: i64, batches: &[u8]) -> io::Result<ScannedSegment> {
        let Walk { mut indexes, indexed_to, start: mut end } = self.begin(base_offset, batches)?;
        let aborted_path = self.files.path(base_offset, FileKind::TransactionIndex);
        let mut aborted = self.believed_aborted(base_offset, &aborted_path)?;
        let fault = loop {
            match self.batch(base_offset, batches, end) {
                Ok(None) => break None,
                Err(fault) => break Some(fault),
                Ok(Some(batch)) => {
                    if end.position >= indexed_to {
                        let interval_bytes = self.known.index_interval_bytes;
                        indexes.note(base_offset, end.position, batch.header(), interval_bytes);
                    }
                    if let Some(entry) = self.take(&batch) {
                        aborted.push(entry);
                    }
                    if aborted.is_full() {
                        aborted.write(&aborted_path)?;
                    }
                    end.position += batch.size_bytes() as u32;
                    end.relative_offset = (batch.header().next_offset() - base_offset) as u32;
                }
            }
        };
        let first_timestamp = BatchHeader::parse(batches).ok().map(|batch| batch.max_timestamp);
        let (file_bytes, has_remains) = (0, false);
        Ok(ScannedSegment { end, file_bytes, has_remains, first_timestamp, indexes, aborted, fault })
    }

    /// Keeps the index entries that are believed, and begins at the last one before the batches that matter.
    fn begin(&self, base_offset: i64, batches: &[u8]) -> io::Result<Walk> {
        let relative = |offset: i64| u32::try_from(offset - base_offset).unwrap_or(0);
        let believed = relative(self.known.recovery_point);
        let mut indexes = SegmentIndexes::load(self.files, base_offset, believed, batches.len() as u32)?;
        if indexes.offsets().last()?.is_some_and(|entry| !entry.fits(base_offset, batches)) {
            indexes = SegmentIndexes::new();
        }
        let replay_from = relative(self.replay_from);
        let entry = indexes.offsets().last_where(|entry| entry.relative_offset <= replay_from)?;
        let position = entry.map_or(0, |entry| entry.position);
        let first = batches.get(position as usize..).map(BatchHeader::parse);
        let relative_offset = match first {
            Some(Ok(first)) if position > 0 => relative(first.base_offset),
            _ => 0,
        };
        let indexed_to = indexes.offsets().last()?.map_or(0, |entry| entry.position);
        Ok(Walk { indexes, indexed_to, start: SegmentEnd { position, relative_offset } })
    }

    /// The batch at `end`, checked as far as it is not believed. `None` at the end of the segment.
    fn batch<'b>(
        &mut self,
        base_offset: i64,
        batches: &'b [u8],
        end: SegmentEnd,
    ) -> Result<Option<RecordBatch<'b>>, TailFault> {
        let rest = batches.get(end.position as usize..).unwrap_or_default();
        if rest.iter().take(HEADER_BYTES).all(|&byte| byte == 0) {
            return Ok(None);
        }
        let (batch, _) = RecordBatch::parse(rest).map_err(TailFault::Batch)?;
        let expected = base_offset + i64::from(end.relative_offset);
        let (found, last) = (batch.base_offset(), batch.last_offset());
        if found < expected || last < found || last - base_offset > i64::from(i32::MAX) {
            return Err(TailFault::OffsetOrder { expected, found });
        }
        if last >= self.known.recovery_point {
            batch.verify_crc().map_err(TailFault::Batch)?;
        }
        self.scanned_bytes += batch.size_bytes() as u64;
        Ok(Some(batch))
    }

    /// What was aborted before the producers' snapshot; the rest is found on the way.
    fn believed_aborted(&self, base_offset: i64, path: &Path) -> io::Result<TransactionIndex> {
        if base_offset < self.replay_from {
            TransactionIndex::load(path, self.replay_from)
        } else {
            Ok(TransactionIndex::rebuilt())
        }
    }

    /// The transaction that the batch aborts, if it is behind the producers' snapshot.
    fn take(&mut self, batch: &RecordBatch<'_>) -> Option<AbortedEntry> {
        if batch.last_offset() >= self.known.recovery_point {
            self.leader_epochs.assign(batch.header().leader_epoch, batch.base_offset());
        }
        if batch.last_offset() < self.replay_from {
            return None;
        }
        self.producers.apply(batch.header(), batch)
    }
}

impl ScannedSegment {
    /// The fault that ends the segment, and what has to be cut for it.
    pub(super) fn take_fault(&mut self, files: &PartitionFiles, base_offset: i64) -> Option<Truncation> {
        let reason = self.fault.take()?;
        Some(Truncation {
            offset: base_offset + i64::from(self.end.relative_offset),
            path: files.path(base_offset, FileKind::Log),
            position: u64::from(self.end.position),
            cut_bytes: self.file_bytes - u64::from(self.end.position),
            removed_segments: 0,
            reason,
        })
    }

    /// Makes it the segment that the log appends to, which takes the space allocated ahead when it needs it.
    pub(super) fn resume(self, files: &Arc<PartitionFiles>, base_offset: i64, now_ms: i64) -> ActiveSegment {
        let segment = Segment::active(Arc::clone(files), base_offset, self.end, self.indexes, self.aborted);
        ActiveSegment::resume(files, Arc::new(segment), self.first_timestamp, now_ms)
    }

    /// Cuts the file where its batches end, and writes its indexes if they are not there.
    pub(super) fn seal(
        mut self,
        files: &Arc<PartitionFiles>,
        base_offset: i64,
        next_base: i64,
    ) -> io::Result<Arc<Segment>> {
        self.cut(files, base_offset)?;
        self.indexes.finish(files, base_offset)?;
        self.aborted.write_now(&files.path(base_offset, FileKind::TransactionIndex))?;
        let relative_offset = u32::try_from(next_base - base_offset).unwrap_or(u32::MAX);
        let end = SegmentEnd { relative_offset, ..self.end };
        Ok(Arc::new(Segment::sealed(SegmentFiles::new(Arc::clone(files), base_offset), end, self.aborted)))
    }

    pub(super) fn cut(&self, files: &PartitionFiles, base_offset: i64) -> io::Result<()> {
        self.cut_file(files, base_offset).map(drop)
    }

    /// As [`ScannedSegment::cut`]; and when this returns, the disk has nothing behind the batches either.
    pub(super) fn cut_synced(&self, files: &PartitionFiles, base_offset: i64) -> io::Result<()> {
        self.cut_file(files, base_offset)?.map_or(Ok(()), |file| file.sync_all())
    }

    /// `None` where there was nothing to cut.
    fn cut_file(&self, files: &PartitionFiles, base_offset: i64) -> io::Result<Option<DiskFile>> {
        let end_bytes = u64::from(self.end.position);
        if end_bytes == self.file_bytes {
            return Ok(None);
        }
        let file = DiskFile::open_to_write(&files.path(base_offset, FileKind::Log))?;
        file.cut(end_bytes)?;
        Ok(Some(file))
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}
