//! Looks into a state folder, perhaps beside the query that writes to it.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::block_cache::BlockCache;
use super::manifest::Manifest;
use super::merged::{Merged, Source};
use super::run::RunCursor;
use super::scan::Scan;
use super::store::open_runs;
use super::{StateDescription, StateError, versions};

/// One version of a state. Changes nothing in the folder.
#[derive(Debug)]
pub struct StateReader {
    folder: PathBuf,
    manifest: Manifest,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    pub name: String,
    pub bytes: u64,
}

impl StateReader {
    /// The versions that a folder has, in order.
    pub fn versions(folder: &Path) -> Result<Vec<u64>, StateError> {
        Ok(versions::list(folder)?)
    }

    pub fn open(folder: &Path, version: u64) -> Result<StateReader, StateError> {
        Ok(StateReader { folder: folder.to_owned(), manifest: Manifest::read(folder, version)? })
    }

    pub fn version(&self) -> u64 {
        self.manifest.version
    }

    pub fn description(&self) -> &StateDescription {
        &self.manifest.description
    }

    /// How many rows are alive.
    pub fn len(&self) -> u64 {
        self.manifest.rows
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest first.
    pub fn files(&self) -> Vec<RunFile> {
        let file = |id, bytes| RunFile { name: super::run::file_name(id), bytes };
        self.manifest.runs.iter().map(|run| file(run.id, run.bytes)).collect()
    }

    /// In the order of their keys.
    pub fn rows(&self) -> Result<Scan<'static>, StateError> {
        let cache = Arc::new(BlockCache::new(0));
        let runs = open_runs(&self.folder, &self.manifest)?.into_iter();
        let sources =
            runs.map(|run| RunCursor::new(run, cache.clone(), Bound::Unbounded, false).map(Source::Run));
        let merged = Merged::new(sources.collect::<Result<_, _>>()?)?;
        Ok(Scan::new(merged, Bound::Unbounded, Bytes::new(), None))
    }
}
