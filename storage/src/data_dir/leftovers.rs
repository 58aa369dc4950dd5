//! What an earlier broker left in the data directory without need.

use std::{fs, io, path::Path};

use tracing::warn;
use uuid::Uuid;

use super::{Metadata, kraft_log};
use crate::{
    disk,
    partition_files::{is_deleted_dir, unique_dir_name},
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
        } else if partition_metadata::load(&entry.path())?.is_some_and(|found| known != Some(found)) {
            let aside = unique_dir_name(name, STRAY_DIR_SUFFIX);
            warn!("partition {name} belongs to no topic; its records are now in {aside}");
            disk::rename(&entry.path(), &data_dir.join(aside))?;
        }
    }
    Ok(())
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
