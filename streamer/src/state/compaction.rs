//! Which runs are merged, and the merging, a little at a time.
//!
//! Runs have levels by their size, each four times the one below, and never lower than a newer run's. Four of a level
//! become one. As much is merged at each commit, at each level, as a multiple of what it writes: a merge is through
//! before its level has four runs again, and no batch pays for all of it.

use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::StateError;
use super::block_cache::BlockCache;
use super::merged::{Merged, Source};
use super::run::{Run, RunCursor};
use super::run_writer::RunWriter;

const FAN_IN: usize = 4;
/// Entries that may be dead, beside twice those that are alive, before everything is merged.
const DEAD_ENTRIES: u64 = 10_000;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunSize {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    /// In a merge already.
    pub(super) busy: bool,
}

/// The runs, newest first, that are to be merged: neighbours, of which none is busy.
pub(super) fn choose(runs: &[RunSize], rows: u64) -> Vec<Range<usize>> {
    let mut level = 0;
    let levels = runs.iter().map(|run| {
        level = level.max(run.bytes.max(1).ilog(FAN_IN as u64));
        (level, run.busy)
    });
    let levels: Vec<_> = levels.collect();
    let mut start = 0;
    let mut chosen = Vec::new();
    for neighbours in levels.chunk_by(|left, right| left == right) {
        let end = start + neighbours.len();
        if neighbours.len() >= FAN_IN && neighbours.iter().all(|(_, busy)| !busy) {
            chosen.push(start..end);
        }
        start = end;
    }
    let idle = runs.iter().rposition(|run| run.busy).map_or(0, |busy| busy + 1)..runs.len();
    let entries: u64 = runs.iter().skip(idle.start).map(|run| run.entries).sum();
    if idle.len() > 1 && entries > rows.saturating_mul(3).saturating_add(DEAD_ENTRIES) {
        chosen.retain(|range| range.end <= idle.start);
        chosen.push(idle);
    }
    chosen
}

/// Neighbouring runs on their way to become one.
#[derive(Debug)]
pub(super) struct Merge {
    /// Newest first.
    pub(super) inputs: Vec<u64>,
    merged: Merged<'static>,
    writer: RunWriter,
    /// Nothing older is below: a removal has nothing to remove.
    is_lowest: bool,
}

impl Merge {
    pub(super) fn start(
        inputs: &[Arc<Run>],
        is_lowest: bool,
        folder: &Path,
        id: u64,
        block_bytes: usize,
        cache: &Arc<BlockCache>,
    ) -> Result<Merge, StateError> {
        let cursor = |run: &Arc<Run>| {
            RunCursor::new(run.clone(), cache.clone(), Bound::Unbounded, false).map(Source::Run)
        };
        let sources = inputs.iter().map(cursor).collect::<Result<_, _>>()?;
        let entries = inputs.iter().map(|run| run.tail.entries).sum();
        let bytes: u64 = inputs.iter().map(|run| run.bytes).sum();
        let keep = usize::try_from(bytes).is_ok_and(|bytes| bytes <= cache.limit() / 4);
        let writer = RunWriter::create(folder, id, entries, block_bytes, keep.then(|| cache.clone()))?;
        let inputs = inputs.iter().map(|run| run.id).collect();
        Ok(Merge { inputs, merged: Merged::new(sources)?, writer, is_lowest })
    }

    /// Merges about so many bytes more; whether all are merged.
    pub(super) fn advance(&mut self, bytes: u64) -> Result<bool, StateError> {
        let mut merged = 0;
        while merged < bytes {
            let Some((key, value)) = self.merged.next()? else {
                return Ok(true);
            };
            merged += (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64 + 2;
            if value.is_some() || !self.is_lowest {
                self.writer.push(&key, value.as_deref())?;
            }
        }
        Ok(false)
    }

    /// The one run, unless nothing is left.
    pub(super) fn finish(self) -> Result<Option<Run>, StateError> {
        if self.writer.is_empty() { Ok(None) } else { self.writer.finish().map(Some) }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.writer.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(sizes: &[u64]) -> Vec<RunSize> {
        sizes.iter().map(|size| RunSize { bytes: *size, entries: size / 100, busy: false }).collect()
    }

    fn chosen(runs: &[RunSize], rows: u64) -> Vec<(usize, usize)> {
        choose(runs, rows).into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn four_neighbours_of_a_level_are_merged() {
        assert!(chosen(&runs(&[500, 600, 700]), 1_000).is_empty());
        assert_eq!(chosen(&runs(&[500, 600, 700, 800, 5_000]), 1_000), [(0, 4)]);
        assert_eq!(chosen(&runs(&[90_000, 500, 90_000, 500, 90_000]), 1_000), [(0, 5)]);
        let mut busy = runs(&[500, 600, 700, 800, 500, 600, 700, 800]);
        busy[4..].iter_mut().for_each(|run| run.busy = true);
        assert_eq!(chosen(&busy, 1_000), [(0, 4)]);
    }

    #[test]
    fn many_dead_entries_are_merged_away() {
        assert!(chosen(&runs(&[1_000_000, 5_000_000]), 20_000).is_empty());
        assert_eq!(chosen(&runs(&[1_000_000, 5_000_000]), 0), [(0, 2)]);
        assert_eq!(chosen(&runs(&[10, 10, 10, 10, 1_000_000, 5_000_000]), 0), [(0, 6)]);
    }
}
