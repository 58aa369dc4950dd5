//! What stateful operators remember between micro-batches: a sorted map from key to value, both bytes.
//!
//! Batch N begins with version N and leaves version N+1 behind, as Spark's state stores do.

mod rows;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checkpoint::batch_log::numbered_files;
use crate::checkpoint::log_file::{self, LogFileError};

pub use rows::{EncodedRows, RowFormat};

const STATE: &str = ".state";

/// How a store is kept.
#[derive(Clone, Copy, Debug)]
pub struct StateOptions {
    /// Bytes that it may hold in memory.
    pub memory_limit: usize,
}

/// The columns of keys and values, so that a changed query is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDescription {
    pub keys: Vec<StateColumn>,
    pub values: Vec<StateColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

#[derive(Debug, Error)]
pub enum StateError {
    #[error(transparent)]
    File(#[from] LogFileError),
    #[error("the state of version {version} is not in {folder}", folder = folder.display())]
    Missing { folder: PathBuf, version: u64 },
    #[error(
        "the state in {path} is of another query: it holds {stored}, and this query wants {wanted}. Start this query \
         with a new checkpoint",
        path = path.display()
    )]
    Description { path: PathBuf, stored: String, wanted: String },
    #[error("the state cannot be read: {0}")]
    Rows(#[from] ArrowError),
}

type Bytes = Box<[u8]>;

#[derive(Debug)]
pub struct StateStore {
    folder: PathBuf,
    description: StateDescription,
    rows: BTreeMap<Bytes, Bytes>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    description: StateDescription,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StateStore {
    /// Opens the state as version `version` left it; 0 is empty.
    pub fn open(
        folder: &Path,
        version: u64,
        description: &StateDescription,
        _options: &StateOptions,
    ) -> Result<StateStore, StateError> {
        let mut rows = BTreeMap::new();
        if version > 0 {
            let path = folder.join(format!("{version}{STATE}"));
            let content = log_file::read(&path)?
                .ok_or_else(|| StateError::Missing { folder: folder.to_owned(), version })?;
            let sealed: Sealed = serde_json::from_slice(&content)
                .map_err(|error| LogFileError::malformed(&path, format!("it is damaged ({error})")))?;
            if sealed.description != *description {
                return Err(StateError::Description {
                    path,
                    stored: sealed.description.to_string(),
                    wanted: description.to_string(),
                });
            }
            rows = sealed.rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        }
        Ok(StateStore { folder: folder.to_owned(), description: description.clone(), rows })
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.rows.get(key).map(|value| value.to_vec()))
    }

    /// The values of the keys, which are sorted, in their order.
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.rows.insert(key.into(), value.into());
        Ok(())
    }

    pub fn remove(&mut self, key: &[u8]) -> Result<(), StateError> {
        self.rows.remove(key);
        Ok(())
    }

    /// In the order of the keys.
    pub fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StateError>> + '_ {
        let rows = self.rows.range::<[u8], _>((from, to));
        rows.map(|(key, value)| Ok((key.to_vec(), value.to_vec())))
    }

    pub fn commit(&mut self, version: u64) -> Result<(), StateError> {
        let rows = self.rows.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        let sealed = Sealed { description: self.description.clone(), rows };
        let content = serde_json::to_vec(&sealed).unwrap_or_default();
        Ok(log_file::write_again(&self.folder.join(format!("{version}{STATE}")), &content)?)
    }

    pub fn purge(&mut self, keep_from: u64) -> Result<(), StateError> {
        for version in numbered_files(&self.folder, STATE)?.into_iter().filter(|version| *version < keep_from)
        {
            let path = self.folder.join(format!("{version}{STATE}"));
            std::fs::remove_file(&path).map_err(|error| LogFileError::io("delete", &path, error))?;
        }
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        self.rows.iter().map(|(key, value)| key.len() + value.len() + 64).sum()
    }
}

impl std::fmt::Display for StateDescription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = |columns: &[StateColumn]| {
            let columns: Vec<_> =
                columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
            columns.join(", ")
        };
        write!(f, "keys ({}), values ({})", columns(&self.keys), columns(&self.values))
    }
}
