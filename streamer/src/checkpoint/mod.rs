//! The checkpoint folder, in Spark's layout and bytes: either engine goes on where the other stopped.
//!
//! ```text
//! metadata       the query's id
//! offsets/N      what batch N reads, written before it runs
//! commits/N      batch N is in the sink
//! sources/<i>/0  where source i began
//! state/         what aggregations remember, in a form of our own (see [`crate::state`])
//! ```
//!
//! Files survive a killed process, not a power cut: nothing is synced, as in Spark on a local folder.

pub mod batch_log;
pub mod commit_log;
pub(crate) mod compactible_log;
pub(crate) mod initial_offsets;
mod lock;
pub mod log_file;
pub mod offset_log;
pub mod operator_metadata;
mod query_metadata;
mod recovery;

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use batch_log::BatchLog;
use commit_log::CommitMetadata;
use lock::CheckpointLock;
use log_file::LogFileError;
use offset_log::{OffsetSeq, OffsetSeqMetadata};
use query_metadata::QueryMetadata;

pub use recovery::Resume;

/// The checkpoint of one running query, which nobody else writes to while this lives.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    metadata: QueryMetadata,
    offsets: BatchLog<OffsetSeq>,
    commits: BatchLog<CommitMetadata>,
    _lock: CheckpointLock,
}

#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error(transparent)]
    File(#[from] LogFileError),
    #[error(
        "the checkpoint {folder} is in use by another run of this query; stop that one first, or give \
         this one a --checkpoint of its own",
        folder = folder.display()
    )]
    InUse { folder: PathBuf },
    /// Spark 4.2's STREAMING_CHECKPOINT_MISSING_METADATA_FILE.
    #[error(
        "[STREAMING_CHECKPOINT_MISSING_METADATA_FILE] the checkpoint {folder} has logs but no file \
         `metadata`; restore that file, or start with a new checkpoint",
        folder = folder.display()
    )]
    MissingMetadata { folder: PathBuf },
    #[error(
        "[STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA] Streaming stateful operator name does not match with \
         the operator in state metadata. This likely to happen when user adds/removes/changes stateful operator of existing \
         streaming query. Stateful operators in the metadata: [{stored}]; Stateful operators in current batch: \
         [{requested}]. SQLSTATE: 42K03. Start the changed query with a new checkpoint"
    )]
    Operators { stored: String, requested: String },
    #[error(
        "the checkpoint {folder} cannot be resumed: {reason}",
        folder = folder.display()
    )]
    Inconsistent { folder: PathBuf, reason: String },
}

impl Checkpoint {
    /// Opens the folder, or makes it, and holds its lock.
    pub fn open(folder: &Path) -> Result<Checkpoint, CheckpointError> {
        fs::create_dir_all(folder).map_err(|error| LogFileError::io("create folder", folder, error))?;
        let lock = CheckpointLock::acquire(folder)?;
        let offsets = BatchLog::new(folder.join("offsets"));
        let metadata_path = folder.join("metadata");
        let metadata = match QueryMetadata::read(&metadata_path)? {
            Some(metadata) => metadata,
            None if offsets.is_empty()? => QueryMetadata::create(&metadata_path)?,
            None => {
                return Err(CheckpointError::MissingMetadata { folder: folder.to_owned() });
            }
        };
        Ok(Checkpoint {
            folder: folder.to_owned(),
            metadata,
            offsets,
            commits: BatchLog::new(folder.join("commits")),
            _lock: lock,
        })
    }

    pub fn query_id(&self) -> &str {
        &self.metadata.id
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the query goes on.
    pub fn resume(&self) -> Result<Resume, CheckpointError> {
        let latest_commit = self.commits.latest()?.map(|(batch_id, _)| batch_id);
        let Some((batch_id, latest)) = self.offsets.latest()? else {
            return recovery::without_offsets(latest_commit).map_err(|reason| self.inconsistent(reason));
        };
        let previous = match batch_id.checked_sub(1) {
            Some(id) => self.offsets.get(id)?,
            None => None,
        };
        recovery::resume(batch_id, latest, previous, latest_commit)
            .map_err(|reason| self.inconsistent(reason))
    }

    /// Step 1 of a batch: what it reads.
    pub fn log_offsets(&self, batch_id: u64, offsets: &OffsetSeq) -> Result<(), CheckpointError> {
        Ok(self.offsets.add(batch_id, offsets)?)
    }

    /// The last step of a batch.
    pub fn log_commit(&self, batch_id: u64, commit: CommitMetadata) -> Result<(), CheckpointError> {
        Ok(self.commits.add(batch_id, &commit)?)
    }

    /// Deletes the logs of all batches before `keep_from`.
    pub fn purge(&self, keep_from: u64) -> Result<(), CheckpointError> {
        self.offsets.purge(keep_from)?;
        Ok(self.commits.purge(keep_from)?)
    }

    /// What a source keeps for itself: Spark's `sources/<i>`.
    pub fn source_folder(&self, source: usize) -> PathBuf {
        self.folder.join("sources").join(source.to_string())
    }

    /// The metadata of a batch that is logged, if it still is.
    pub fn offsets_metadata(&self, batch_id: u64) -> Result<Option<OffsetSeqMetadata>, CheckpointError> {
        Ok(self.offsets.get(batch_id)?.and_then(|offsets| offsets.metadata))
    }

    /// What a batch's commit left for the next one.
    pub fn commit_metadata(&self, batch_id: u64) -> Result<Option<CommitMetadata>, CheckpointError> {
        Ok(self.commits.get(batch_id)?)
    }

    /// Refuses a query whose stateful operators are not those that the checkpoint has state of.
    pub fn check_operators(&self, names: &[&'static str]) -> Result<(), CheckpointError> {
        operator_metadata::check(&self.state_folder(), names)
    }

    /// State is below it: Spark's `state/<operator>/<partition>`.
    pub fn state_folder(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn inconsistent(&self, reason: String) -> CheckpointError {
        CheckpointError::Inconsistent { folder: self.folder.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_query_id_and_refuses_a_second_run() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let id = checkpoint.query_id().to_owned();
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::InUse { .. }), "{error}");
        drop(checkpoint);
        assert_eq!(Checkpoint::open(folder.path()).unwrap().query_id(), id);
        let written = fs::read_to_string(folder.path().join("metadata")).unwrap();
        assert_eq!(written, format!("{{\"id\":\"{id}\"}}"));
    }

    #[test]
    fn logs_without_an_id_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("offsets")).unwrap();
        fs::write(folder.path().join("offsets").join("0"), b"v1\n\n{}").unwrap();
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::MissingMetadata { .. }));
    }
}
