//! The files of a state, one delta per version and now and then a snapshot.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;

use super::StateError;
use crate::checkpoint::batch_log::numbered_files;
use crate::checkpoint::log_file::{self, LogFileError};

const DELTA: &str = ".delta.arrow";
const SNAPSHOT: &str = ".snapshot.arrow";

#[derive(Debug)]
pub(super) struct StateFiles {
    folder: PathBuf,
    schema: SchemaRef,
}

impl StateFiles {
    pub(super) fn new(folder: PathBuf, schema: SchemaRef) -> StateFiles {
        StateFiles { folder, schema }
    }

    /// The version of the last snapshot that is not newer than `version`.
    pub(super) fn newest_snapshot(&self, version: u64) -> Result<Option<u64>, StateError> {
        let snapshots = numbered_files(&self.folder, SNAPSHOT)?;
        Ok(snapshots.into_iter().filter(|snapshot| *snapshot <= version).max())
    }

    pub(super) fn read_snapshot(&self, version: u64) -> Result<Vec<RecordBatch>, StateError> {
        let path = self.path(version, SNAPSHOT);
        let content = log_file::read(&path)?;
        self.decode(&path, &content.unwrap_or_default())
    }

    /// The rows of one delta on the way to the state of `wanted`.
    pub(super) fn read_delta(&self, version: u64, wanted: u64) -> Result<Vec<RecordBatch>, StateError> {
        let path = self.path(version, DELTA);
        let content = log_file::read(&path)?.ok_or_else(|| StateError::Missing {
            folder: self.folder.clone(),
            version: wanted,
            first_missing: version,
        })?;
        self.decode(&path, &content)
    }

    pub(super) fn write_delta(&self, version: u64, batches: &[RecordBatch]) -> Result<(), StateError> {
        Ok(log_file::write_again(&self.path(version, DELTA), &self.encode(batches)?)?)
    }

    pub(super) fn write_snapshot(&self, version: u64, rows: &RecordBatch) -> Result<(), StateError> {
        let content = self.encode(std::slice::from_ref(rows))?;
        Ok(log_file::write_again(&self.path(version, SNAPSHOT), &content)?)
    }

    pub(super) fn purge(&self, keep_from: u64) -> Result<(), StateError> {
        let Some(base) = self.newest_snapshot(keep_from)? else {
            return Ok(());
        };
        let deltas = numbered_files(&self.folder, DELTA)?.into_iter().filter(|version| *version <= base);
        let snapshots = numbered_files(&self.folder, SNAPSHOT)?.into_iter().filter(|version| *version < base);
        let deltas = deltas.map(|version| self.path(version, DELTA));
        let snapshots = snapshots.map(|version| self.path(version, SNAPSHOT));
        for path in deltas.chain(snapshots) {
            fs::remove_file(&path).map_err(|error| LogFileError::io("delete", &path, error))?;
        }
        Ok(())
    }

    fn path(&self, version: u64, kind: &str) -> PathBuf {
        self.folder.join(format!("{version}{kind}"))
    }

    fn encode(&self, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), &self.schema)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.into_inner()
    }

    fn decode(&self, path: &Path, content: &[u8]) -> Result<Vec<RecordBatch>, StateError> {
        let damaged = |error: ArrowError| {
            LogFileError::malformed(path, format!("it is damaged ({error}); its batch cannot be resumed"))
        };
        if !content.ends_with(END_OF_STREAM) {
            return Err(LogFileError::malformed(path, "it is cut short").into());
        }
        let reader = StreamReader::try_new(Cursor::new(content), None).map_err(damaged)?;
        if !same_columns(&reader.schema(), &self.schema) {
            return Err(StateError::Schema {
                path: path.to_owned(),
                stored: columns(&reader.schema()),
                wanted: columns(&self.schema),
            });
        }
        Ok(reader.collect::<Result<_, _>>().map_err(damaged)?)
    }
}

/// How an Arrow IPC stream ends.
const END_OF_STREAM: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn same_columns(stored: &Schema, wanted: &Schema) -> bool {
    let fields = stored.fields().iter().zip(wanted.fields());
    stored.fields().len() == wanted.fields().len()
        && fields.clone().all(|(stored, wanted)| {
            stored.name() == wanted.name() && stored.data_type() == wanted.data_type()
        })
}

fn columns(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    columns.collect::<Vec<_>>().join(", ")
}
