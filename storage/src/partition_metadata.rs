//! `partition.metadata`: which topic id a partition's directory belongs to.

use std::{io, path::Path};

use uuid::Uuid;

use crate::{atomic_file, kafka_uuid};

const FILE_NAME: &str = "partition.metadata";

pub(crate) fn store(partition_dir: &Path, topic_id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", kafka_uuid::format(topic_id));
    atomic_file::replace(&partition_dir.join(FILE_NAME), text.as_bytes())
}
