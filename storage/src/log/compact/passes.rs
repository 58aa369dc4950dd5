//! The two passes of a compaction over a log's segments.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use super::{CompactionError, CompactionOutcome, CompactionRequest, Log};
use crate::{
    compaction::{BatchCleaner, CleanError, CleanedTransactions, Counts, KeyOffsets, Plan, SegmentWriter},
    segment::{Batches, Segment},
    transaction_index::{AbortedEntry, Search},
};

/// How many bytes are read and written before the pace is looked at.
const STEP_BYTES: usize = 64 << 10;

pub(super) struct Passes<'a> {
    log: &'a Log,
    /// All of the log, for a transaction may end in a later segment than its records are in.
    segments: &'a [Arc<Segment>],
    request: &'a CompactionRequest<'a>,
    step_bytes: usize,
    outcome: CompactionOutcome,
}

impl<'a> Passes<'a> {
    pub(super) fn new(
        log: &'a Log,
        segments: &'a [Arc<Segment>],
        request: &'a CompactionRequest<'a>,
    ) -> Passes<'a> {
        Passes { log, segments, request, step_bytes: 0, outcome: CompactionOutcome::default() }
    }

    pub(super) fn outcome(self, cleaned_to: i64, counts: Counts) -> CompactionOutcome {
        let Counts { read, kept, without_key } = counts;
        CompactionOutcome {
            cleaned_to,
            records_read: read,
            records_kept: kept,
            records_without_key: without_key,
            ..self.outcome
        }
    }

    /// The last offset of each key of the dirty part, or of as much of it as the map takes.
    pub(super) fn key_offsets(&mut self, plan: &Plan) -> Result<KeyOffsets, CompactionError> {
        let dirty = plan.first_dirty_offset..plan.first_uncleanable_offset;
        let mut keys = KeyOffsets::new(dirty.start, self.request.max_map_bytes);
        let mut transactions = CleanedTransactions::default();
        for (at, segment) in self.segments.iter().enumerate() {
            let (base_offset, next_offset) = (segment.base_offset(), segment.next_offset());
            if next_offset <= dirty.start || base_offset >= dirty.end {
                continue;
            }
            transactions.add_aborted(self.aborted(at)?);
            if !self.add_keys(segment, dirty.start, &mut transactions, &mut keys)? {
                return Ok(keys.complete());
            }
            keys.skip_to(next_offset - 1);
        }
        Ok(keys.complete())
    }

    /// False: the map is full.
    fn add_keys(
        &mut self,
        segment: &Segment,
        from_offset: i64,
        transactions: &mut CleanedTransactions,
        keys: &mut KeyOffsets,
    ) -> Result<bool, CompactionError> {
        let batches = segment.batches()?;
        let mut next = segment.position_of(batches.bytes(), from_offset)?;
        while let Some(position) = next
            && let Some(batch) = segment.batch_at(batches.bytes(), position)?
        {
            let damaged = |cause| CompactionError::Damaged { path: segment.path(), position, cause };
            self.account(batch.size_bytes())?;
            if transactions.is_obsolete(&batch).map_err(damaged)? || batch.header().is_control() {
                keys.skip_to(batch.last_offset());
            } else if !keys.add(&batch).map_err(damaged)? {
                return Ok(false);
            }
            next = Some(position + batch.size_bytes());
        }
        Ok(true)
    }

    /// Puts one segment in the place of a run of them, unless it would be the same over again.
    pub(super) fn clean_group(
        &mut self,
        group: Range<usize>,
        cleaner: &mut BatchCleaner<'_>,
    ) -> Result<(), CompactionError> {
        let segments = self.segments;
        let [first, ..] = &segments[group.clone()] else { return Ok(()) };
        let last = &segments[group.end - 1];
        let files = self.log.begin_cleaning(first.base_offset())?;
        let first_batches = first.batches()?;
        let interval_bytes = self.log.config().index_interval_bytes;
        let mut writer = SegmentWriter::new(files, first_batches.bytes(), interval_bytes);
        for at in group.clone() {
            cleaner.transactions.add_aborted(self.aborted(at)?);
            if at == group.start {
                self.clean_segment(first, &first_batches, &mut writer, cleaner)?;
            } else {
                writer.next_source().map_err(|error| clean_error(error, first, 0))?;
                self.clean_segment(&segments[at], &segments[at].batches()?, &mut writer, cleaner)?;
            }
        }
        let aborted = std::mem::take(&mut cleaner.transactions.retained);
        if group.len() == 1 && writer.is_unchanged() {
            return Ok(());
        }
        let (files, size_bytes) = writer.finish(aborted).map_err(|error| clean_error(error, first, 0))?;
        drop(first_batches);
        self.log.replace_segments(files, first.base_offset()..=last.base_offset())?;
        self.outcome.written_bytes += size_bytes;
        Ok(())
    }

    fn clean_segment(
        &mut self,
        segment: &Segment,
        batches: &Batches,
        writer: &mut SegmentWriter<'_>,
        cleaner: &mut BatchCleaner<'_>,
    ) -> Result<(), CompactionError> {
        let mut position = 0;
        while let Some(batch) = segment.batch_at(batches.bytes(), position)? {
            writer.add(&batch, cleaner).map_err(|error| clean_error(error, segment, position))?;
            position += batch.size_bytes();
            self.account(batch.size_bytes())?;
        }
        Ok(())
    }

    /// Every aborted transaction of which something lies in a segment.
    fn aborted(&self, at: usize) -> Result<Vec<AbortedEntry>, CompactionError> {
        let (from_offset, upper_bound) = (self.segments[at].base_offset(), self.segments[at].next_offset());
        let mut found = Vec::new();
        for segment in self.segments[at..].iter().filter(|segment| segment.has_aborted_transactions()) {
            let search = segment.collect_aborted(from_offset, upper_bound, &mut |entry| found.push(entry))?;
            if search == Search::Complete {
                break;
            }
        }
        Ok(found)
    }

    fn account(&mut self, bytes: usize) -> Result<(), CompactionError> {
        self.step_bytes += bytes;
        self.outcome.read_bytes += bytes as u64;
        if self.step_bytes < STEP_BYTES {
            return Ok(());
        }
        match (self.request.pace)(std::mem::take(&mut self.step_bytes)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CompactionError::Interrupted),
        }
    }
}

fn clean_error(error: CleanError, segment: &Segment, position: usize) -> CompactionError {
    match error {
        CleanError::Batch(cause) => CompactionError::Damaged { path: segment.path(), position, cause },
        CleanError::TooLarge => CompactionError::TooLarge { path: segment.path() },
        CleanError::Io { path, source } => CompactionError::Io { path, source },
    }
}
