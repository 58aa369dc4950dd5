//! Which versions a folder has, and which of them need a run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::manifest::{self, Manifest};
use super::run::file_name;
use super::{StateError, disk};
use crate::checkpoint::batch_log::numbered_files;
use crate::checkpoint::log_file::LogFileError;

const RUN_SUFFIX: &str = ".run";

#[derive(Debug)]
pub(super) struct Versions {
    folder: PathBuf,
    runs_of: BTreeMap<u64, Vec<u64>>,
    /// How many versions name a run.
    uses: HashMap<u64, usize>,
    next_run: u64,
}

/// The versions that have a manifest, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, LogFileError> {
    let mut versions = numbered_files(folder, manifest::SUFFIX)?;
    versions.sort_unstable();
    Ok(versions)
}

impl Versions {
    /// Looks through the folder and deletes what no version needs.
    pub(super) fn open(folder: &Path) -> Result<Versions, StateError> {
        let mut versions = Versions {
            folder: folder.to_owned(),
            runs_of: BTreeMap::new(),
            uses: HashMap::new(),
            next_run: 0,
        };
        let mut damaged = false;
        for version in list(folder)? {
            match Manifest::read(folder, version) {
                Ok(manifest) => versions.name(&manifest),
                Err(StateError::Damaged { path, reason }) => {
                    damaged = true;
                    tracing::warn!("the state file {} is damaged: {reason}", path.display());
                    versions.runs_of.insert(version, Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        let runs = numbered_files(folder, RUN_SUFFIX)?;
        versions.next_run = runs.iter().max().map_or(0, |newest| newest + 1);
        // A damaged manifest does not tell what it needs; whoever repairs it shall find it.
        if !damaged {
            let unused: Vec<_> = runs.into_iter().filter(|run| !versions.uses.contains_key(run)).collect();
            unused.into_iter().try_for_each(|run| disk::remove(&folder.join(file_name(run))))?;
        }
        Ok(versions)
    }

    pub(super) fn next_run(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run - 1
    }

    /// Writes the version's manifest, perhaps in place of one of an earlier run of its batch.
    pub(super) fn seal(&mut self, manifest: &Manifest) -> Result<(), StateError> {
        manifest.write(&self.folder)?;
        let replaced = self.runs_of.remove(&manifest.version);
        self.name(manifest);
        self.release(replaced.into_iter().flatten())
    }

    /// Deletes the versions before `keep_from`.
    pub(super) fn purge(&mut self, keep_from: u64) -> Result<(), StateError> {
        while let Some(oldest) = self.runs_of.first_entry().filter(|oldest| *oldest.key() < keep_from) {
            disk::remove(&manifest::path(&self.folder, *oldest.key()))?;
            let runs = oldest.remove();
            self.release(runs.into_iter())?;
        }
        Ok(())
    }

    /// Deletes runs of which no version ever knew.
    pub(super) fn forget(&self, runs: &HashSet<u64>) -> Result<(), StateError> {
        for run in runs.iter().filter(|run| !self.uses.contains_key(run)) {
            disk::remove(&self.folder.join(file_name(*run)))?;
        }
        Ok(())
    }

    fn name(&mut self, manifest: &Manifest) {
        let runs: Vec<_> = manifest.runs.iter().map(|run| run.id).collect();
        runs.iter().for_each(|run| *self.uses.entry(*run).or_default() += 1);
        self.runs_of.insert(manifest.version, runs);
    }

    fn release(&mut self, runs: impl Iterator<Item = u64>) -> Result<(), StateError> {
        for run in runs {
            let uses = self.uses.get_mut(&run).map_or(0, |uses| {
                *uses -= 1;
                *uses
            });
            if uses == 0 {
                self.uses.remove(&run);
                disk::remove(&self.folder.join(file_name(run)))?;
            }
        }
        Ok(())
    }
}
