//! `metadata`: the query's id, which outlives its runs. Spark's `StreamMetadata`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log_file::{self, LogFileError};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueryMetadata {
    pub(super) id: String,
}

impl QueryMetadata {
    pub(super) fn read(path: &Path) -> Result<Option<QueryMetadata>, LogFileError> {
        let Some(text) = log_file::read_text(path)? else {
            return Ok(None);
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            LogFileError::malformed(path, format!("it does not hold the query's id ({error})"))
        })
    }

    /// Makes up an id and writes it.
    pub(super) fn create(path: &Path) -> Result<QueryMetadata, LogFileError> {
        let metadata = QueryMetadata { id: Uuid::new_v4().to_string() };
        log_file::write_new(path, format!("{{\"id\":\"{}\"}}", metadata.id).as_bytes())?;
        Ok(metadata)
    }
}
