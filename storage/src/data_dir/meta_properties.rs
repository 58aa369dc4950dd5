//! `meta.properties`: whose directory this is.

use std::{collections::HashMap, io, path::Path};

use uuid::Uuid;

use crate::{atomic_file, config::Durability, kafka_uuid};

const FILE_NAME: &str = "meta.properties";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetaProperties {
    pub(super) cluster_id: String,
    pub(super) node_id: i32,
    pub(super) directory_id: Uuid,
}

impl MetaProperties {
    pub(super) fn random(node_id: i32) -> MetaProperties {
        let cluster_id = kafka_uuid::format(kafka_uuid::random());
        MetaProperties { cluster_id, node_id, directory_id: kafka_uuid::random() }
    }

    pub(super) fn load(dir: &Path) -> io::Result<Option<MetaProperties>> {
        let text = atomic_file::read_if_present(&dir.join(FILE_NAME))?;
        text.map(|text| parse(&text).ok_or_else(|| damaged(dir))).transpose()
    }

    pub(super) fn store(&self, dir: &Path, durability: Durability) -> io::Result<()> {
        let MetaProperties { cluster_id, node_id, directory_id } = self;
        let directory_id = kafka_uuid::format(*directory_id);
        let text =
            format!("version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n");
        atomic_file::replace(&dir.join(FILE_NAME), text.as_bytes(), durability)
    }
}

fn parse(text: &str) -> Option<MetaProperties> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let properties: HashMap<&str, &str> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    Some(MetaProperties {
        cluster_id: (*properties.get("cluster.id")?).to_owned(),
        node_id: properties.get("node.id")?.parse().ok()?,
        directory_id: kafka_uuid::parse(properties.get("directory.id")?)?,
    })
}

fn damaged(dir: &Path) -> io::Error {
    let path = dir.join(FILE_NAME);
    let what = format!("{} lacks a sound cluster.id, node.id or directory.id", path.display());
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(MetaProperties::load(dir.path()).unwrap(), None);
        let meta = MetaProperties::random(1);
        meta.store(dir.path(), Durability::Process).unwrap();
        assert_eq!(MetaProperties::load(dir.path()).unwrap(), Some(meta));
    }

    #[test]
    fn kafkas_file_is_understood() {
        let text = "#\n#Mon Nov 23 06:00:00 UTC 2026\ncluster.id=abc\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n\
                    node.id=1\nversion=1\n";
        let directory_id = Uuid::from_u128(1);
        let expected = MetaProperties { cluster_id: "abc".to_owned(), node_id: 1, directory_id };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("cluster.id=abc\n"), None);
    }
}
