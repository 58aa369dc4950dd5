//! `__cluster_metadata-0`: the log in which a KRaft controller keeps what `bootstrap.checkpoint` keeps for Ottla.
//!
//! Segments of record batches, and snapshots `<end offset>-<epoch>.checkpoint` which stand for everything before their
//! end offset. The newest complete snapshot is read, then the batches from its end on. The files are only read.

mod batch_file;
mod replay;

use std::{
    io,
    path::{Path, PathBuf},
};

use batch_file::{BatchFile, DECOMPRESSED_MAX_BYTES};
use ottla_protocol::{batch::BatchError, records::SchemaError};
pub(super) use replay::QuorumRecords;
use replay::Replay;
use thiserror::Error;
use tracing::warn;

use super::metadata::{Metadata, MetadataError};
use crate::disk;

pub(super) const DIR_NAME: &str = "__cluster_metadata-0";

/// What a metadata log comes to.
#[derive(Debug)]
pub(super) struct KRaftLog {
    pub(super) image: Metadata,
    /// The node ids of those who keep the log, if it says so.
    pub(super) voters: Option<Vec<i32>>,
    pub(super) quorum: QuorumRecords,
    /// The newest timestamp in it.
    pub(super) last_timestamp_ms: i64,
    pub(super) state: LogState,
}

/// How far a Kafka has come with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogState {
    /// There is no cluster in it yet: Kafka begins one from `bootstrap.checkpoint`, now or when it starts again.
    Empty,
    /// It was copied from `bootstrap.checkpoint`, but no broker came up. So a controller leaves it whose broker found the
    /// directory in use.
    Copied,
    /// A broker has used it.
    Used,
}

/// Why a metadata log cannot be read.
#[derive(Debug, Error)]
pub enum KRaftLogError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged at byte {position}: {fault}; start that Kafka once, which repairs what it can, or restore the \
         file from a backup",
        path.display()
    )]
    Damaged { path: PathBuf, position: u64, fault: RecordError },
    #[error(
        "{} begins at offset {found}, but what is there before it ends at {expected}: records are missing; restore \
         them from a backup",
        path.display()
    )]
    Gap { path: PathBuf, expected: i64, found: i64 },
}

/// What is wrong at one place of a metadata log.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// A snapshot by its name; the later is the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SnapshotFile {
    end_offset: i64,
    epoch: i32,
    path: PathBuf,
}

/// Reads the log in `dir`, and leaves it as it is. A tail that was not written whole is left out, with a warning.
pub(super) fn read(dir: &Path) -> Result<KRaftLog, KRaftLogError> {
    let listed = disk::list(dir).map_err(|source| KRaftLogError::Io { path: dir.to_owned(), source })?;
    let (mut replay, end_offset) = newest_snapshot(&listed)?;
    let begins_with_snapshot = end_offset > 0;
    replay_segments(&listed, &mut replay, end_offset)?;
    if replay.pending_records() > 0 {
        warn!(
            "{}: a metadata transaction of {} records never ended, and is left out",
            dir.display(),
            replay.pending_records()
        );
    }
    if replay.unknown_records > 0 {
        warn!(
            "{}: {} records of types that only a later Kafka knows are left out",
            dir.display(),
            replay.unknown_records
        );
    }
    let state = match () {
        () if !replay.image.is_bootstrapped() => LogState::Empty,
        () if replay.has_broker || begins_with_snapshot => LogState::Used,
        () => LogState::Copied,
    };
    let Replay { image, voters, quorum, last_timestamp_ms, .. } = replay;
    Ok(KRaftLog { image, voters, quorum, last_timestamp_ms, state })
}

/// Whether a controller has written to the log in `dir`.
pub(super) fn has_segments(dir: &Path) -> bool {
    disk::list(dir).is_ok_and(|listed| listed.iter().any(|path| parse_segment(path).is_some()))
}

/// What the newest snapshot says that was written to its end, and where the log goes on. Kafka renames a snapshot to its
/// name when it is complete, so one that is not was damaged later.
fn newest_snapshot(listed: &[PathBuf]) -> Result<(Replay, i64), KRaftLogError> {
    let mut snapshots: Vec<SnapshotFile> = listed.iter().filter_map(|path| parse_snapshot(path)).collect();
    snapshots.sort();
    for SnapshotFile { end_offset, path, .. } in snapshots.into_iter().rev() {
        match read_snapshot(&path)? {
            Some(replay) => return Ok((replay, end_offset)),
            None => warn!("snapshot {} is not complete; the one before it is read", path.display()),
        }
    }
    Ok((Replay::from_nothing(), 0))
}

fn read_snapshot(path: &Path) -> Result<Option<Replay>, KRaftLogError> {
    let io_error = |source| KRaftLogError::Io { path: path.to_owned(), source };
    let mut file = BatchFile::open(path).map_err(io_error)?;
    let mut replay = Replay::from_nothing();
    while let Some(batch) = file.next().map_err(io_error)? {
        let Ok(batch) = batch else { return Ok(None) };
        let size_bytes = batch.size_bytes();
        let replayed = replay.batch(&batch, DECOMPRESSED_MAX_BYTES);
        replayed.map_err(|fault| damaged(&file, fault))?;
        file.advance(size_bytes);
    }
    Ok(replay.is_complete_snapshot.then_some(replay))
}

/// The batches that stand at `end_offset` and behind it.
fn replay_segments(
    listed: &[PathBuf],
    replay: &mut Replay,
    mut end_offset: i64,
) -> Result<(), KRaftLogError> {
    let mut segments: Vec<(i64, &PathBuf)> =
        listed.iter().filter_map(|path| Some((parse_segment(path)?, path))).collect();
    segments.sort_unstable();
    // Those that the snapshot covers from end to end.
    let covered = segments.iter().rposition(|&(base_offset, _)| base_offset <= end_offset).unwrap_or(0);
    segments.drain(..covered.min(segments.len()));
    let count = segments.len();
    for (place, (base_offset, path)) in segments.into_iter().enumerate() {
        if base_offset > end_offset {
            return Err(KRaftLogError::Gap { path: path.clone(), expected: end_offset, found: base_offset });
        }
        let is_last = place + 1 == count;
        end_offset = replay_segment(path, replay, end_offset, is_last)?;
    }
    Ok(())
}

/// Where the segment ends.
fn replay_segment(
    path: &Path,
    replay: &mut Replay,
    mut end_offset: i64,
    is_last: bool,
) -> Result<i64, KRaftLogError> {
    let io_error = |source| KRaftLogError::Io { path: path.to_owned(), source };
    let mut file = BatchFile::open(path).map_err(io_error)?;
    let fault = loop {
        let batch = match file.next().map_err(io_error)? {
            None => return Ok(end_offset),
            Some(Err(fault)) => break fault,
            Some(Ok(batch)) => batch,
        };
        let size_bytes = batch.size_bytes();
        match batch.base_offset() {
            found if found > end_offset => {
                return Err(KRaftLogError::Gap { path: path.to_owned(), expected: end_offset, found });
            }
            found if found == end_offset => {
                end_offset = batch.header().next_offset();
                let replayed = replay.batch(&batch, DECOMPRESSED_MAX_BYTES);
                replayed.map_err(|fault| damaged(&file, fault))?;
            }
            // The snapshot has it.
            _ => {}
        }
        file.advance(size_bytes);
    };
    if !is_last || file.has_batch_further_on().map_err(io_error)? {
        return Err(damaged(&file, fault.into()));
    }
    let (left_bytes, path) = (file.left_bytes(), path.display());
    warn!("the last {left_bytes} bytes of {path} were not written whole, and are left out: {fault}");
    Ok(end_offset)
}

fn damaged(file: &BatchFile, fault: RecordError) -> KRaftLogError {
    KRaftLogError::Damaged { path: file.path().to_owned(), position: file.position(), fault }
}

fn parse_segment(path: &Path) -> Option<i64> {
    digits(path.file_name()?.to_str()?.strip_suffix(".log")?, 20)
}

fn parse_snapshot(path: &Path) -> Option<SnapshotFile> {
    let (end_offset, epoch) = path.file_name()?.to_str()?.strip_suffix(".checkpoint")?.split_once('-')?;
    let epoch = i32::try_from(digits(epoch, 10)?).ok()?;
    Some(SnapshotFile { end_offset: digits(end_offset, 20)?, epoch, path: path.to_owned() })
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}
