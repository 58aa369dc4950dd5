//! What an earlier broker left in the data directory without need.

use std::{ffi::OsStr, fs, io, path::Path};

use tracing::warn;
use uuid::Uuid;

use super::{Metadata, kraft_log};
use crate::{
    disk, leader_epochs,
    partition_files::{FileKind, FileName, is_deleted_dir, unique_dir_name},
    partition_metadata,
};

/// Kafka's suffix for a partition that the metadata does not know.
pub(super) const STRAY_DIR_SUFFIX: &str = "-stray";

/// What is known of the topic ids that partitions' directories have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicIds {
    /// Those of the metadata: so the last broker left them.
    Believed,
    /// To be compared: a Kafka that is killed may leave the directory of a topic that was deleted under its name, which
    /// the metadata gives to another by then.
    Checked,
}

/// Kafka's suffix for a replica that is moving from one log directory to another.
const FUTURE_DIR_SUFFIX: &str = "-future";

/// Removes deleted partitions, and sets those aside that the metadata does not know: their topic was deleted while
/// somebody read, or never came to be, or the metadata is gone; so nothing is removed that nobody deleted.
pub(super) fn clear(data_dir: &Path, metadata: &Metadata, topic_ids: TopicIds) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_set_aside(name) || !entry.file_type()?.is_dir() {
            continue;
        }
        let known = known_topic_id(name, metadata);
        if known.is_some() && topic_ids == TopicIds::Believed {
            continue;
        }
        if is_deleted_dir(name) {
            disk::remove_dir_all(&entry.path())?;
            continue;
        }
        match partition_metadata::load(&entry.path())? {
            Some(found) if known == Some(found) => {}
            None if known.is_some() => {}
            Some(_) => set_aside(data_dir, name)?,
            None => match Content::of(name, &entry.path())? {
                Content::Other => {}
                Content::NoRecord => disk::remove_dir_all(&entry.path())?,
                Content::Records => set_aside(data_dir, name)?,
            },
        }
    }
    Ok(())
}

fn set_aside(data_dir: &Path, dir_name: &str) -> io::Result<()> {
    let aside = unique_dir_name(dir_name, STRAY_DIR_SUFFIX);
    warn!("partition {dir_name} belongs to no topic; its records are now in {aside}");
    disk::rename(&data_dir.join(dir_name), &data_dir.join(aside))
}

enum Content {
    /// Somebody else's.
    Other,
    /// A partition's files, without a record.
    NoRecord,
    Records,
}

impl Content {
    /// Of a directory without a sound `partition.metadata`: it was being made, or deleted, when the end came.
    fn of(dir_name: &str, dir: &Path) -> io::Result<Content> {
        let partition = dir_name.rsplit_once('-').map(|(_, partition)| partition.parse::<u32>());
        if !matches!(partition, Some(Ok(_))) {
            return Ok(Content::Other);
        }
        let mut content = Content::NoRecord;
        for path in disk::list(dir)? {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            match FileName::parse(name) {
                Some(FileName { kind: FileKind::Log, .. }) if holds_bytes(&path)? => {
                    content = Content::Records;
                }
                Some(_) => {}
                None if OWN_FILES.iter().any(|own| name.starts_with(own)) => {}
                None => return Ok(Content::Other),
            }
        }
        Ok(content)
    }
}

/// Besides its segments; the last one may still have `.tmp` behind its name.
const OWN_FILES: [&str; 2] = [partition_metadata::FILE_NAME, leader_epochs::FILE_NAME];

fn holds_bytes(log: &Path) -> io::Result<bool> {
    Ok(fs::read(log)?.iter().any(|&byte| byte != 0))
}

/// Names that Kafka passes over, too, or takes up again.
fn is_set_aside(dir_name: &str) -> bool {
    dir_name == kraft_log::DIR_NAME
        || [STRAY_DIR_SUFFIX, FUTURE_DIR_SUFFIX].iter().any(|suffix| dir_name.ends_with(suffix))
}

/// The id of the topic whose partition this is the directory of.
fn known_topic_id(dir_name: &str, metadata: &Metadata) -> Option<Uuid> {
    let (topic, partition) = dir_name.rsplit_once('-')?;
    let topic = metadata.topic(topic)?;
    topic.partitions.contains_key(&partition.parse().ok()?).then_some(topic.id)
}
