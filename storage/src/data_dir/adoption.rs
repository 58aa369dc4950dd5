//! Taking over a directory that Kafka has used.
//!
//! Its `__cluster_metadata-0` holds the truth as soon as it has a cluster in it; `bootstrap.checkpoint` is then what
//! that cluster once began with. The log is read, its image stored in `bootstrap.checkpoint`, and the folder set aside:
//! in this order, so that a kill in between leaves the folder, which is then read once more. A Kafka that comes back
//! finds no metadata log and begins one from `bootstrap.checkpoint`.
//!
//! If the quorum of that Kafka may change its voters (KIP-853), the folder is replaced by one that names them and
//! nothing else, as `kafka-storage format --standalone` makes it; without it that Kafka would not know who votes. Such
//! a log has no cluster in it, so `bootstrap.checkpoint` holds the truth, for Kafka as for Ottla.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    bootstrap::{self, BootstrapError},
    kraft_log::{self, KRaftLog, KRaftLogError, LogState, QuorumRecords},
    leftovers::STRAY_DIR_SUFFIX,
    meta_properties::MetaProperties,
    metadata::Metadata,
};
use crate::{
    config::Durability,
    disk,
    leader_epochs::{self, LeaderEpochs},
    log::TopicPartition,
    partition_files::unique_dir_name,
};

/// Kafka's suffix for a directory that is going to replace another. Kafka passes over it, as over the one set aside,
/// for neither is of a partition that it looks for.
const FUTURE_DIR_SUFFIX: &str = "-future";
/// Under this name Kafka looks for the voters that it was formatted with.
const FIRST_SNAPSHOT: &str = "00000000000000000000-0000000000.checkpoint";

/// The id of a directory that Kafka has not chosen yet, does not know or has lost.
const RESERVED_DIRECTORY_IDS: std::ops::RangeInclusive<u128> = 0..=2;

/// Why a directory that Kafka has used cannot be served.
#[derive(Debug, Error)]
pub enum AdoptionError {
    #[error(transparent)]
    Log(#[from] KRaftLogError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "its metadata log is kept by nodes {voters:?}, while Ottla is node {node_id} alone; take the directory of a \
         Kafka that is broker and controller in one"
    )]
    OtherVoters { voters: Vec<i32>, node_id: i32 },
    #[error(
        "partition {partition} has replicas on nodes {replicas:?}, while Ottla is node {node_id} alone; move it there \
         with kafka-reassign-partitions, or delete its topic"
    )]
    OtherReplicas { partition: TopicPartition, replicas: Vec<i32>, node_id: i32 },
    #[error(
        "partition {partition} is in another log directory of that Kafka, whose directory.id is {}, while Ottla has \
         one; move it here with kafka-reassign-partitions, or delete its topic",
        crate::kafka_uuid::format(*directory_id)
    )]
    OtherLogDir { partition: TopicPartition, directory_id: Uuid },
}

/// Takes the directory over, if a Kafka has used it since Ottla did; says whether that was so.
pub(super) fn adopt(dir: &Path, meta: &MetaProperties) -> Result<bool, AdoptionError> {
    let kraft_dir = dir.join(kraft_log::DIR_NAME);
    finish_replacing(dir, &kraft_dir)?;
    if !kraft_dir.exists() {
        return Ok(false);
    }
    let KRaftLog { mut image, voters, quorum, last_timestamp_ms, state } = kraft_log::read(&kraft_dir)?;
    match state {
        LogState::Empty => return Ok(false),
        LogState::Copied => return replace(dir, &kraft_dir, &quorum, last_timestamp_ms).map(|()| false),
        LogState::Used => {}
    }
    if let Some(voters) = voters.filter(|voters| *voters != [meta.node_id]) {
        return Err(AdoptionError::OtherVoters { voters, node_id: meta.node_id });
    }
    check_servable(&image, meta)?;
    image.become_sole_replica(meta.node_id, meta.directory_id, |partition| latest_epoch(dir, partition));
    bootstrap::store(&dir.join(bootstrap::FILE_NAME), &image, last_timestamp_ms, Durability::Power)?;
    replace(dir, &kraft_dir, &quorum, last_timestamp_ms)?;
    info!(
        "{} was Kafka's: {} topics are in {} now",
        dir.display(),
        image.topics().count(),
        bootstrap::FILE_NAME
    );
    Ok(true)
}

/// To be called before `bootstrap.checkpoint` changes while a broker serves the directory. A Kafka that was started
/// meanwhile has ended by then, for the directory is locked, but its controller may have made a metadata log out of what
/// the file said; the next Kafka would believe that log, and know nothing of the change.
pub(super) fn remove_stale_copy(dir: &Path) -> Result<(), AdoptionError> {
    let kraft_dir = dir.join(kraft_log::DIR_NAME);
    if !kraft_log::has_segments(&kraft_dir) {
        return Ok(());
    }
    let KRaftLog { quorum, last_timestamp_ms, .. } = kraft_log::read(&kraft_dir)?;
    warn!("a Kafka was started on {}, which is in use; its metadata log is set aside", dir.display());
    replace(dir, &kraft_dir, &quorum, last_timestamp_ms)
}

fn check_servable(image: &Metadata, meta: &MetaProperties) -> Result<(), AdoptionError> {
    let node_id = meta.node_id;
    for (name, topic) in image.topics() {
        for (&index, record) in &topic.partitions {
            let partition = || TopicPartition { topic: name.to_owned(), partition: index };
            if record.replicas != [node_id] {
                let replicas = record.replicas.clone();
                return Err(AdoptionError::OtherReplicas { partition: partition(), replicas, node_id });
            }
            let elsewhere =
                |id: &&Uuid| **id != meta.directory_id && !RESERVED_DIRECTORY_IDS.contains(&id.as_u128());
            if let Some(&directory_id) = record.directories.iter().find(elsewhere) {
                return Err(AdoptionError::OtherLogDir { partition: partition(), directory_id });
            }
        }
    }
    Ok(())
}

/// The leader epoch that a partition's own files have come to. None if they cannot be read: whoever opens the partition
/// will say so.
fn latest_epoch(dir: &Path, partition: &TopicPartition) -> Option<i32> {
    let path = dir.join(partition.to_string()).join(leader_epochs::FILE_NAME);
    LeaderEpochs::load(&path).ok()?.latest()
}

/// Sets the metadata log aside, and puts one in its place that knows the voters, if there is need of it.
fn replace(dir: &Path, kraft_dir: &Path, quorum: &QuorumRecords, now_ms: i64) -> Result<(), AdoptionError> {
    let io_error = |source| AdoptionError::Io { path: kraft_dir.to_owned(), source };
    let aside = dir.join(unique_dir_name(kraft_log::DIR_NAME, STRAY_DIR_SUFFIX));
    if quorum.voters.is_none() {
        disk::rename(kraft_dir, &aside).map_err(io_error)?;
        return disk::sync_dir(dir).map_err(io_error);
    }
    let future = dir.join(unique_dir_name(kraft_log::DIR_NAME, FUTURE_DIR_SUFFIX));
    disk::create_dir(&future).map_err(io_error)?;
    bootstrap::store_quorum(&future.join(FIRST_SNAPSHOT), quorum, now_ms)?;
    disk::sync_dir(dir).map_err(io_error)?;
    disk::rename(kraft_dir, &aside).map_err(io_error)?;
    disk::rename(&future, kraft_dir).map_err(io_error)?;
    disk::sync_dir(dir).map_err(io_error)
}

/// Goes on with a [`replace`] that was cut off: with its second rename if the first was done, else from the start.
fn finish_replacing(dir: &Path, kraft_dir: &Path) -> Result<(), AdoptionError> {
    let io_error = |source| AdoptionError::Io { path: kraft_dir.to_owned(), source };
    for path in disk::list(dir).map_err(io_error)? {
        if !is_future_log(&path) {
            continue;
        }
        if kraft_dir.exists() {
            disk::remove_dir_all(&path).map_err(io_error)?;
        } else {
            disk::rename(&path, kraft_dir).map_err(io_error)?;
            disk::sync_dir(dir).map_err(io_error)?;
        }
    }
    Ok(())
}

fn is_future_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let unique = name.strip_prefix(kraft_log::DIR_NAME).and_then(|rest| rest.strip_suffix(FUTURE_DIR_SUFFIX));
    unique.is_some_and(|unique| unique.starts_with('.'))
}
