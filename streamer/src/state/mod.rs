//! What stateful operators remember between micro-batches: a sorted map from key to value, both bytes.
//!
//! Batch N begins with version N and leaves version N+1 behind, as Spark's state stores do. A store is log-structured:
//!
//! ```text
//! V.manifest   version V: its runs, newest first, how many rows are alive, and what the columns are
//! R.run        sorted changes, never touched again once a manifest names them
//! ```
//!
//! What is not sealed yet is in memory, or in runs that no manifest names if it is too much. To seal a version writes
//! one run of what changed and one manifest, whose rename is the moment at which the version is there. Runs are merged
//! a little at each commit, so that a batch takes as long with much state as with little. Whatever no manifest names is
//! deleted when the store is opened.
//!
//! Nothing is synced, as said in [`crate::checkpoint`]; a file that is damaged is found by its checksums.

mod block_cache;
mod changes;
mod compaction;
mod disk;
mod filter;
pub mod inspect;
mod lookup;
mod manifest;
mod memory;
mod merged;
mod reader;
pub mod row_text;
mod rows;
mod run;
mod run_format;
mod run_writer;
mod scan;
mod seal;
mod store;
#[cfg(test)]
mod tests;
mod versions;

use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checkpoint::log_file::LogFileError;

pub use memory::StateMemory;
pub use reader::{RunFile, StateReader};
pub use rows::{EncodedRows, RowFormat};
pub use scan::Scan;
pub use store::StateStore;

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
    #[error("the state of version {version} is not in {folder}: {version}.manifest is missing", folder = folder.display())]
    Missing { folder: PathBuf, version: u64 },
    #[error(
        "the state file {path} is damaged: {reason}. Bring it back from a copy, or start with a new checkpoint",
        path = path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the state in {path} is of another query: it holds {stored}, and this query wants {wanted}. Start this query \
         with a new checkpoint",
        path = path.display()
    )]
    Description { path: PathBuf, stored: String, wanted: String },
    #[error("a row of {bytes} bytes does not fit into the state, where keys and values have at most 1 GiB")]
    TooLarge { bytes: usize },
    #[error("the state cannot be read: {0}")]
    Rows(#[from] ArrowError),
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
