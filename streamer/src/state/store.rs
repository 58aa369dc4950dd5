//! The state of one operator, or of one side of it.

use std::collections::HashSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block_cache::BlockCache;
use super::changes::{Changes, Known};
use super::compaction::{self, Merge, RunSize};
use super::lookup::lookup;
use super::manifest::{Manifest, ManifestRun};
use super::merged::{Merged, Source};
use super::run::{Run, RunCursor};
use super::run_writer::RunWriter;
use super::scan::{Gap, Scan};
use super::versions::Versions;
use super::{StateDescription, StateError, StateOptions};

/// Rows that a range removes at a time.
const REMOVED_ROWS: usize = 4_096;
/// Merged at each commit for each byte that it writes, at each level.
const MERGE_FACTOR: u64 = 2;

/// A sorted map. What is put and removed can be read at once; it lasts from [`StateStore::commit`] on.
#[derive(Debug)]
pub struct StateStore {
    folder: PathBuf,
    description: StateDescription,
    limits: Limits,
    versions: Versions,
    cache: Arc<BlockCache>,
    changes: Changes,
    known: Known,
    pub(super) gap: Gap,
    /// Newest first. Those before the sealed ones are changes for which there was no room in memory.
    runs: Vec<Arc<Run>>,
    /// That are alive in the runs.
    rows: u64,
    sealed: Sealed,
    merges: Vec<Merge>,
    /// Runs that have been written since the last version was sealed.
    unsealed: HashSet<u64>,
}

/// As the last commit left it.
#[derive(Clone, Debug)]
struct Sealed {
    version: u64,
    runs: Vec<Arc<Run>>,
    rows: u64,
}

/// How the memory limit is shared out, in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    changes: usize,
    known: usize,
    /// For blocks and what finds them.
    runs: usize,
    block: usize,
    /// The least that a merge goes on at a commit.
    merge: u64,
}

impl Limits {
    fn new(options: &StateOptions) -> Limits {
        let limit = options.memory_limit;
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
        options: &StateOptions,
    ) -> Result<StateStore, StateError> {
        let sealed = match version {
            0 => Sealed { version, runs: Vec::new(), rows: 0 },
            _ => Sealed::open(folder, version, description)?,
        };
        let limits = Limits::new(options);
        let store = StateStore {
            folder: folder.to_owned(),
            description: description.clone(),
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

    /// Removes the rows of a range and returns how many they were. It costs what it removes.
    pub fn remove_range(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<u64, StateError> {
        let mut removed = 0;
        loop {
            let rows = self.range(from, to).take(REMOVED_ROWS).map(|row| row.map(|(key, _)| key));
            let keys = rows.collect::<Result<Vec<_>, _>>()?;
            for key in &keys {
                // One that is not among the changes comes from the runs.
                self.changes.set(key, None, Some(true));
            }
            self.spill()?;
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

    /// Seals what the map holds now as a version. One that is there already, from an earlier run of the same batch,
    /// is replaced.
    pub fn commit(&mut self, version: u64) -> Result<(), StateError> {
        let written = self.write_changes()?;
        self.merge(written)?;
        let (description, rows) = (self.description.clone(), self.rows);
        let runs = self.runs.iter().map(|run| ManifestRun::of(run)).collect();
        self.versions.seal(&Manifest { version, rows, description, runs })?;
        self.sealed = Sealed { version, runs: self.runs.clone(), rows };
        self.limit_cache();
        self.forget_unsealed()
    }

    /// Forgets what has changed since the last commit.
    pub fn rollback(&mut self) -> Result<(), StateError> {
        self.changes.clear();
        self.known.clear();
        self.gap.clear();
        let Sealed { runs, rows, .. } = self.sealed.clone();
        self.merges.retain(|merge| merge.inputs.iter().all(|input| runs.iter().any(|run| run.id == *input)));
        (self.runs, self.rows) = (runs, rows);
        self.forget_unsealed()
    }

    /// Deletes the versions before `keep_from`, but never the last one that was sealed.
    pub fn purge(&mut self, keep_from: u64) -> Result<(), StateError> {
        self.versions.purge(keep_from.min(self.sealed.version))
    }

    /// How many rows there are, what is put and removed included.
    pub fn count(&mut self) -> Result<u64, StateError> {
        self.settle()?;
        Ok(self.rows.saturating_add(self.changes.added()).saturating_sub(self.changes.removed()))
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
    fn limit_cache(&self) {
        let least = self.limits.runs / 4;
        self.cache.set_limit(self.limits.runs.saturating_sub(self.index_bytes()).max(least));
    }

    fn spill(&mut self) -> Result<(), StateError> {
        if self.changes.bytes() > self.limits.changes {
            self.write_changes()?;
        }
        Ok(())
    }

    /// Makes a run of the changes, and returns its bytes.
    fn write_changes(&mut self) -> Result<u64, StateError> {
        let rows = self.count()?;
        let id = self.versions.next_run();
        let (entries, block, cache) = (self.changes.len() as u64, self.limits.block, self.cache.clone());
        let mut writer = None;
        for (key, changed) in self.changes.iter() {
            // A key that came and went in between leaves nothing.
            if changed.value.is_none() && changed.existed != Some(true) {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                none => {
                    none.insert(RunWriter::create(&self.folder, id, entries, block, Some(cache.clone()))?)
                }
            };
            writer.push(key, changed.value.as_deref())?;
        }
        let bytes = match writer {
            Some(writer) => {
                let run = writer.finish()?;
                let bytes = run.bytes;
                self.unsealed.insert(id);
                self.runs.insert(0, Arc::new(run));
                bytes
            }
            None => 0,
        };
        self.rows = rows;
        self.changes.clear();
        Ok(bytes)
    }

    /// Finds out which of the changed keys the runs have.
    fn settle(&mut self) -> Result<(), StateError> {
        self.known.tell(&mut self.changes);
        let unknown = self.changes.unknown();
        let mut exists = vec![false; unknown.len()];
        let keys = unknown.iter().map(AsRef::as_ref).enumerate();
        lookup(&self.runs, &self.cache, keys, |place, _| {
            if let Some(exists) = exists.get_mut(place) {
                *exists = true;
            }
        })?;
        unknown.iter().zip(exists).for_each(|(key, exists)| self.changes.exists(key, exists));
        Ok(())
    }

    /// Goes on with the merges, after so many bytes were written.
    fn merge(&mut self, written: u64) -> Result<(), StateError> {
        self.start_merges()?;
        let bytes = self.limits.merge.max(written.saturating_mul(MERGE_FACTOR));
        for mut merge in std::mem::take(&mut self.merges) {
            if merge.advance(bytes)? {
                self.end_merge(merge)?;
            } else {
                self.merges.push(merge);
            }
        }
        Ok(())
    }

    fn start_merges(&mut self) -> Result<(), StateError> {
        let busy: HashSet<_> = self.merges.iter().flat_map(|merge| merge.inputs.iter().copied()).collect();
        let sizes = self.runs.iter().map(|run| RunSize {
            bytes: run.bytes,
            entries: run.tail.entries,
            busy: busy.contains(&run.id),
        });
        let sizes: Vec<_> = sizes.collect();
        for range in compaction::choose(&sizes, self.rows) {
            let is_lowest = range.end == self.runs.len();
            let inputs = self.runs.get(range).unwrap_or_default();
            let (id, block) = (self.versions.next_run(), self.limits.block);
            self.merges.push(Merge::start(inputs, is_lowest, &self.folder, id, block, &self.cache)?);
        }
        Ok(())
    }

    /// Puts the run in the place of those that it was made of.
    fn end_merge(&mut self, merge: Merge) -> Result<(), StateError> {
        let inputs = merge.inputs.clone();
        let place = self.runs.iter().position(|run| inputs.contains(&run.id)).unwrap_or(0);
        let merged = merge.finish()?;
        self.runs.retain(|run| !inputs.contains(&run.id));
        if let Some(run) = merged {
            self.unsealed.insert(run.id);
            self.runs.insert(place, Arc::new(run));
        }
        Ok(())
    }

    /// Deletes the runs of which no version has come to know.
    fn forget_unsealed(&mut self) -> Result<(), StateError> {
        self.versions.forget(&std::mem::take(&mut self.unsealed))
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
