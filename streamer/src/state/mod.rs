//! What an aggregation remembers between micro-batches.
//!
//! Each group's row holds its key and the partial state of its aggregates, as DataFusion's partial aggregation
//! writes them. A batch looks up the groups that it touches, merges, and stores them again; batch N begins with version
//! N and leaves version N+1 behind, as Spark's state stores do.
//!
//! The files are Arrow IPC streams under `state/<operator>/0/`, so that they say their own schema:
//! `V.delta.arrow` has the rows that version V changed, `V.snapshot.arrow` all rows. Spark's own state files are named
//! otherwise: neither engine takes the other's for its own.

mod files;
mod keyed;

use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use thiserror::Error;

use crate::checkpoint::log_file::LogFileError;
use files::StateFiles;
use keyed::KeyedRows;

/// Opening a delta costs about as much as reading so many rows.
const ROWS_PER_FILE: usize = 100;

/// The groups of one aggregation, in memory and on disk.
#[derive(Debug)]
pub struct StateStore {
    rows: KeyedRows,
    files: StateFiles,
    /// What a start has to read on top of the last snapshot, in rows.
    backlog_rows: usize,
}

#[derive(Debug, Error)]
pub enum StateError {
    #[error(transparent)]
    File(#[from] LogFileError),
    #[error(
        "the state of version {version} is not in {folder}: neither a snapshot nor the files \
         {first_missing}.delta.arrow and later are there",
        folder = folder.display()
    )]
    Missing { folder: PathBuf, version: u64, first_missing: u64 },
    /// Spark's STATE_STORE_SCHEMA errors.
    #[error(
        "the grouping keys or aggregates of this query are not those that wrote {path}: it has ({stored}), the query \
         has ({wanted}). Neither may change; start the changed query with a new checkpoint",
        path = path.display()
    )]
    Schema { path: PathBuf, stored: String, wanted: String },
    #[error("the state of the aggregation cannot be kept: {0}")]
    Arrow(#[from] ArrowError),
}

impl StateStore {
    /// The state of `version`, whose rows have `keys` grouping columns first. Version 0 is empty.
    pub fn open(
        folder: &Path,
        version: u64,
        schema: SchemaRef,
        keys: usize,
    ) -> Result<StateStore, StateError> {
        let files = StateFiles::new(folder.to_owned(), schema.clone());
        let mut store = StateStore { rows: KeyedRows::new(schema, keys)?, files, backlog_rows: 0 };
        let snapshot = store.files.newest_snapshot(version)?;
        if let Some(snapshot) = snapshot {
            for batch in store.files.read_snapshot(snapshot)? {
                store.rows.put(&batch)?;
            }
        }
        for delta in snapshot.unwrap_or(0) + 1..=version {
            store.backlog_rows += ROWS_PER_FILE;
            for batch in store.files.read_delta(delta, version)? {
                store.backlog_rows += batch.num_rows();
                store.rows.put(&batch)?;
            }
        }
        Ok(store)
    }

    /// The stored rows of the groups that `batches` hold; groups that are new are left out.
    pub fn lookup(&self, batches: &[RecordBatch]) -> Result<RecordBatch, StateError> {
        Ok(self.rows.lookup(batches)?)
    }

    /// Takes over the merged rows of the groups that a batch changed, and writes them as `version`.
    pub fn commit(&mut self, version: u64, changed: &[RecordBatch]) -> Result<(), StateError> {
        self.backlog_rows += ROWS_PER_FILE;
        for batch in changed {
            self.rows.put(batch)?;
            self.backlog_rows += batch.num_rows();
        }
        self.files.write_delta(version, changed)?;
        // A snapshot costs as much as the state is large: one is due when a start would read as much again in deltas.
        if self.backlog_rows > self.rows.len().max(10 * ROWS_PER_FILE) {
            self.files.write_snapshot(version, &self.rows.all()?)?;
            self.backlog_rows = 0;
        }
        Ok(())
    }

    /// Deletes what no version from `keep_from` on needs.
    pub fn purge(&self, keep_from: u64) -> Result<(), StateError> {
        self.files.purge(keep_from)
    }

    /// Every group.
    pub fn all(&self) -> Result<RecordBatch, StateError> {
        Ok(self.rows.all()?)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    pub fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn schema() -> SchemaRef {
        let fields =
            [Field::new("carrier", DataType::Utf8, true), Field::new("count", DataType::Int64, false)];
        Arc::new(Schema::new(fields.to_vec()))
    }

    fn batch(rows: &[(Option<&str>, i64)]) -> RecordBatch {
        let keys: StringArray = rows.iter().map(|(key, _)| *key).collect();
        let counts: Int64Array = rows.iter().map(|(_, count)| *count).collect();
        RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(counts)]).unwrap()
    }

    fn contents(store: &StateStore) -> Vec<(String, i64)> {
        let all = store.all().unwrap();
        let keys = datafusion::arrow::array::AsArray::as_string::<i32>(all.column(0)).clone();
        let counts = all.column(1).as_any().downcast_ref::<Int64Array>().unwrap().clone();
        let mut rows: Vec<_> = keys
            .iter()
            .zip(counts.iter())
            .map(|(key, count)| (key.unwrap_or("NULL").to_owned(), count.unwrap()))
            .collect();
        rows.sort();
        rows
    }

    #[test]
    fn versions_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::open(folder.path(), 0, schema(), 1).unwrap();
        store.commit(1, &[batch(&[(Some("AA"), 1), (None, 5)])]).unwrap();
        store.commit(2, &[batch(&[(Some("AA"), 3), (Some("UA"), 1)])]).unwrap();
        let second = StateStore::open(folder.path(), 2, schema(), 1).unwrap();
        assert_eq!(contents(&second), [("AA".to_owned(), 3), ("NULL".to_owned(), 5), ("UA".to_owned(), 1)]);
        let first = StateStore::open(folder.path(), 1, schema(), 1).unwrap();
        assert_eq!(contents(&first), [("AA".to_owned(), 1), ("NULL".to_owned(), 5)]);
        let found = first.lookup(&[batch(&[(None, 0), (Some("DL"), 0)])]).unwrap();
        assert_eq!(found, batch(&[(None, 5)]));
    }

    #[test]
    fn a_query_with_other_columns_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::open(folder.path(), 0, schema(), 1).unwrap();
        store.commit(1, &[batch(&[(Some("AA"), 1)])]).unwrap();
        let other = Arc::new(Schema::new(vec![Field::new("origin", DataType::Utf8, true)]));
        let error = StateStore::open(folder.path(), 1, other, 1).unwrap_err().to_string();
        assert!(
            error.contains("1.delta.arrow") && error.contains("carrier") && error.contains("origin"),
            "{error}"
        );
        let error = StateStore::open(folder.path(), 3, schema(), 1).unwrap_err();
        assert!(matches!(error, StateError::Missing { first_missing: 2, .. }), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = StateStore::open(folder.path(), 0, schema(), 1).unwrap();
        store.commit(1, &[batch(&[(Some("AA"), 1)])]).unwrap();
        let path = folder.path().join("1.delta.arrow");
        let content = std::fs::read(&path).unwrap();
        for length in [0, 3, content.len() / 2] {
            std::fs::write(&path, &content[..length]).unwrap();
            let error = StateStore::open(folder.path(), 1, schema(), 1).unwrap_err().to_string();
            assert!(error.contains("1.delta.arrow"), "{error}");
        }
    }

    proptest! {
        /// Any run of updates, reopens and purges gives what a map gives.
        #[test]
        fn is_a_map_that_survives(updates in proptest::collection::vec(
            proptest::collection::vec((0..40_u8, any::<i64>()), 0..400), 1..12,
        )) {
            let folder = tempfile::tempdir().unwrap();
            let mut model = BTreeMap::new();
            for (version, rows) in (1..).zip(&updates) {
                let mut store = StateStore::open(folder.path(), version - 1, schema(), 1).unwrap();
                let rows = rows.iter().map(|(key, count)| (format!("k{key}"), *count));
                let rows: BTreeMap<_, _> = rows.collect();
                let changed: Vec<_> = rows.iter().map(|(key, count)| (Some(key.as_str()), *count)).collect();
                store.commit(version, &[batch(&changed)]).unwrap();
                store.purge(version.saturating_sub(2)).unwrap();
                model.extend(rows);
                prop_assert_eq!(contents(&store), model.clone().into_iter().collect::<Vec<_>>());
            }
            let version = updates.len() as u64;
            let reopened = StateStore::open(folder.path(), version, schema(), 1).unwrap();
            prop_assert_eq!(contents(&reopened), model.into_iter().collect::<Vec<_>>());
        }
    }
}
