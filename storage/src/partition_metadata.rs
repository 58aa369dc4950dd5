//! `partition.metadata`: which topic id a partition's directory belongs to.

use std::{io, path::Path};

use uuid::Uuid;

use crate::{
    atomic_file,
    disk::{self, DiskFile},
    kafka_uuid,
};

pub(crate) const FILE_NAME: &str = "partition.metadata";

pub(crate) fn store(partition_dir: &Path, topic_id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", kafka_uuid::format(topic_id));
    disk::write(&partition_dir.join(FILE_NAME), text.as_bytes())
}

pub(crate) fn sync(partition_dir: &Path) -> io::Result<()> {
    DiskFile::open_to_write(&partition_dir.join(FILE_NAME))?.sync_all()
}

/// `None` when the file is not there or is not understood.
pub(crate) fn load(partition_dir: &Path) -> io::Result<Option<Uuid>> {
    let text = match atomic_file::read_if_present(&partition_dir.join(FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        read => read?,
    };
    let id = text.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("topic_id:")));
    Ok(id.and_then(|id| kafka_uuid::parse(id.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let id = Uuid::new_v4();
        store(dir.path(), id).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(id));
    }
}
