//! Sealing a version: changes become a run, runs are merged, a manifest says what the version is.

use std::collections::HashSet;
use std::sync::Arc;

use super::StateError;
use super::compaction::{self, Merge, RunSize};
use super::manifest::{Manifest, ManifestRun};
use super::run_writer::RunWriter;
use super::store::{Sealed, StateStore};

/// Merged at each commit for each byte that it writes, at each level.
const MERGE_FACTOR: u64 = 2;

impl StateStore {
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

    /// Makes a run of the changes, and returns its bytes.
    pub(super) fn write_changes(&mut self) -> Result<u64, StateError> {
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

    /// Goes on with the merges, after so many bytes were written.
    pub(super) fn merge(&mut self, written: u64) -> Result<(), StateError> {
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
        self.cache.forget(&inputs);
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
