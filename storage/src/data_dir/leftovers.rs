//! What an earlier broker left in the data directory without need.

use std::{fs, io, path::Path};

use tracing::warn;

use super::Metadata;
use crate::{
    disk,
    partition_files::{is_deleted_dir, unique_dir_name},
    partition_metadata,
};

/// Kafka's suffix for a partition that the metadata does not know.
const STRAY_DIR_SUFFIX: &str = "-stray";

/// Removes deleted partitions, and sets those aside that the metadata does not know: their topic was deleted while
/// somebody read, or never came to be, or the metadata is gone; so nothing is removed that nobody deleted.
pub(super) fn clear(data_dir: &Path, metadata: &Metadata) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_known(name, metadata) || name.ends_with(STRAY_DIR_SUFFIX) || !entry.file_type()?.is_dir() {
            continue;
        }
        if is_deleted_dir(name) {
            disk::remove_dir_all(&entry.path())?;
        } else if partition_metadata::load(&entry.path())?.is_some() {
            let aside = unique_dir_name(name, STRAY_DIR_SUFFIX);
            warn!("partition {name} belongs to no topic; its records are now in {aside}");
            disk::rename(&entry.path(), &data_dir.join(aside))?;
        }
    }
    Ok(())
}

fn is_known(dir_name: &str, metadata: &Metadata) -> bool {
    let Some((topic, partition)) = dir_name.rsplit_once('-') else { return false };
    let partition = partition.parse().ok();
    metadata
        .topic(topic)
        .zip(partition)
        .is_some_and(|(topic, partition)| topic.partitions.contains_key(&partition))
}
