//! The state of one operator, or of one side of it.

use std::collections::HashSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block_cache::BlockCache;
use super::changes::{Changes, Known};
use super::compaction::Merge;
use super::lookup::lookup;
use super::manifest::Manifest;
use super::memory::MemoryShare;
use super::merged::{Merged, Source};
use super::run::{Run, RunCursor};
use super::scan::{Gap, Scan};
use super::versions::Versions;
use super::{StateDescription, StateError, StateMemory};

/// Rows that a range removes at a time.
const REMOVED_ROWS: usize = 4_096;

/// A sorted map. What is put and removed can be read at once; it lasts from [`StateStore::commit`] on.
#[derive(Debug)]
pub struct StateStore {
    pub(super) folder: PathBuf,
    pub(super) description: StateDescription,
    memory: MemoryShare,
    pub(super) limits: Limits,
    pub(super) versions: Versions,
    pub(super) cache: Arc<BlockCache>,
    pub(super) changes: Changes,
    pub(super) known: Known,
    pub(super) gap: Gap,
    /// Newest first. Those before the sealed ones are changes for which there was no room in memory.
    pub(super) runs: Vec<Arc<Run>>,
    /// That are alive in the runs.
    pub(super) rows: u64,
    pub(super) sealed: Sealed,
    pub(super) merges: Vec<Merge>,
    /// Runs that have been written since the last version was sealed.
    pub(super) unsealed: HashSet<u64>,
}

/// As the last commit left it.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) version: u64,
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) rows: u64,
}

/// How the memory limit is shared out, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) changes: usize,
    pub(super) known: usize,
    /// For blocks and what finds them.
    pub(super) runs: usize,
    pub(super) block: usize,
    /// The least that a merge goes on at a commit.
    pub(super) merge: u64,
}

impl Limits {
    fn new(limit: usize) -> Limits {
        Limits {
            changes: limit / 4,
            known: limit / 8,
            runs: limit / 2,
            block: (limit >> 10).clamp(128, 4 << 10),
            merge: (limit as u64 >> 10).clamp(64, 128 << 10),
        }
    }
}

impl StateStore {
    /// Opens the state as version `version` left it; 0 is empty. Fails if that version has other columns.
    ///
    /// Nobody else may have the folder open: what no version needs is deleted.
    pub fn open(
        folder: &Path,
        version: u64,
        description: &StateDescription,
        memory: &StateMemory,
    ) -> Result<StateStore, StateError> {
        let sealed = match version {
            0 => Sealed { version, runs: Vec::new(), rows: 0 },
            _ => Sealed::open(folder, version, description)?,
        };
        let memory = memory.share();
        let limits = Limits::new(memory.bytes());
        let mut store = StateStore {
            folder: folder.to_owned(),
            description: description.clone(),
            memory,
            limits,
            versions: Versions::open(folder)?,
            cache: Arc::new(BlockCache::new(limits.runs)),
            changes: Changes::default(),
            known: Known::default(),
            gap: Gap::default(),
            runs: sealed.runs.clone(),
            rows: sealed.rows,
            sealed,
            merges: Vec::new(),
            unsealed: HashSet::new(),
        };
        store.limit_cache();
        Ok(store)
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(self.get_many(&[key])?.pop().flatten())
    }

    /// The values of the keys, in their order. Keys that are sorted are found fastest, and what is then put under them
    /// costs no second lookup.
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StateError> {
        let mut values = vec![None; keys.len()];
        let mut stored = Vec::with_capacity(keys.len());
        for (place, (key, value)) in keys.iter().zip(&mut values).enumerate() {
            match self.changes.get(key) {
                Some(changed) => value.clone_from(&changed.value),
                None => stored.push((place, *key)),
            }
        }
        // In one piece, so that a value does not keep its block in memory.
        let (mut bytes, mut found) = (BytesMut::new(), Vec::with_capacity(stored.len()));
        lookup(&self.runs, &self.cache, stored.iter().copied(), |place, value| {
            bytes.extend_from_slice(value);
            found.push((place, value.len()));
        })?;
        for (place, length) in found {
            if let Some(value) = values.get_mut(place) {
                *value = Some(bytes.split_to(length).freeze());
            }
        }
        let exists = |place: usize| values.get(place).is_some_and(Option::is_some);
        self.known.add(stored.iter().map(|(place, key)| (*key, exists(*place))), self.limits.known);
        Ok(values)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.gap.fill(key);
        self.changes.set(key, Some(value), None);
        self.spill()
    }

    /// A key that is not there stays so.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), StateError> {
        self.changes.set(key, None, None);
        self.spill()
    }

    /// Removes rows that are known to be there, as a scan has just found them: nothing is looked up for it.
    pub fn remove_found(&mut self, keys: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<(), StateError> {
        for key in keys {
            // One that is not among the changes comes from the runs.
            self.changes.set(key.as_ref(), None, Some(true));
        }
        self.spill()
    }

    /// Removes the rows of a range and returns how many they were. It costs what it removes.
    pub fn remove_range(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64, StateError> {
        let mut removed = 0;
        loop {
            let rows = self.range(from, to).take(REMOVED_ROWS).map(|row| row.map(|(key, _)| key));
            let keys = rows.collect::<Result<Vec<_>, _>>()?;
            self.remove_found(&keys)?;
            removed += keys.len() as u64;
            if keys.len() < REMOVED_ROWS {
                return Ok(removed);
            }
        }
    }

    /// The rows in the order of their keys, what is put and removed included.
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Scan<'_> {
        let (start, learns) = match from {
            Bound::Unbounded => (&[][..], true),
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
        };
        let skipped = self.gap.skip(start);
        let from = skipped.as_deref().map_or(from, Bound::Included);
        let merged = match self.merged(from, to) {
            Ok(merged) => merged,
            Err(error) => return Scan::failed(error),
        };
        let gap = (learns || skipped.is_some()).then_some(&self.gap);
        let start = skipped.unwrap_or_else(|| Bytes::copy_from_slice(start));
        Scan::new(merged, to.map(Bytes::copy_from_slice), start, gap)
    }

    /// The rows whose keys begin so.
    pub fn prefix(&self, prefix: &[u8]) -> Scan<'_> {
        let end = after_prefix(prefix);
        self.range(Bound::Included(prefix), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
    }

    fn merged(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Merged<'_>, StateError> {
        let mut sources = vec![Source::Changes(self.changes.from(from))];
        // Those of a narrow range may well be read again.
        let keep = !matches!(to, Bound::Unbounded);
        for run in self.runs.iter().filter(|run| run.overlaps(from, to)) {
            sources.push(Source::Run(RunCursor::new(run.clone(), self.cache.clone(), from, keep)?));
        }
        Merged::new(sources)
    }

    /// How many rows there are, what is put and removed included.
    pub fn count(&mut self) -> Result<u64, StateError> {
        self.settle()?;
        Ok(self.rows.saturating_add_signed(self.changes.growth()))
    }

    pub fn memory_bytes(&self) -> usize {
        self.changes.bytes() + self.known.bytes() + self.cache.bytes() + self.index_bytes()
    }

    /// Of what finds the blocks, also in runs that are being written.
    fn index_bytes(&self) -> usize {
        let merges = self.merges.iter().map(Merge::memory_bytes);
        self.runs.iter().map(|run| run.memory_bytes()).chain(merges).sum()
    }

    /// The cache has what the indexes leave, and always some.
    pub(super) fn limit_cache(&mut self) {
        self.limits = Limits::new(self.memory.bytes());
        let least = self.limits.runs / 4;
        self.cache.set_limit(self.limits.runs.saturating_sub(self.index_bytes()).max(least));
    }

    /// Finds out which of the changed keys the runs have.
    pub(super) fn settle(&mut self) -> Result<(), StateError> {
        self.known.tell(&mut self.changes);
        let unknown = self.changes.unknown();
        let mut exists = vec![false; unknown.len()];
        let keys = unknown.iter().map(AsRef::as_ref).enumerate();
        lookup(&self.runs, &self.cache, keys, |place, _| {
            if let Some(exists) = exists.get_mut(place) {
                *exists = true;
            }
        })?;
        self.changes.exist(unknown.iter().map(AsRef::as_ref).zip(exists));
        Ok(())
    }

    fn spill(&mut self) -> Result<(), StateError> {
        if self.changes.bytes() <= self.limits.changes {
            return Ok(());
        }
        let written = self.write_changes()?;
        self.merge(written)
    }
}

impl Sealed {
    fn open(folder: &Path, version: u64, description: &StateDescription) -> Result<Sealed, StateError> {
        let manifest = Manifest::read(folder, version)?;
        if manifest.description != *description {
            return Err(StateError::Description {
                path: super::manifest::path(folder, version),
                stored: manifest.description.to_string(),
                wanted: description.to_string(),
            });
        }
        Ok(Sealed { version, runs: open_runs(folder, &manifest)?, rows: manifest.rows })
    }
}

pub(super) fn open_runs(folder: &Path, manifest: &Manifest) -> Result<Vec<Arc<Run>>, StateError> {
    let runs = manifest.runs.iter();
    runs.map(|run| Run::open(folder, run.id, run.bytes, run.checksum).map(Arc::new)).collect()
}

/// The first key behind those that begin so, if there is one.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_behind_a_prefix_is_behind_all_that_begin_so() {
        assert_eq!(after_prefix(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]).as_deref(), Some(&[2][..]));
    }
}
