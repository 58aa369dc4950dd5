//! `meta.properties`: whose directory this is.

use std::{collections::HashMap, io, path::Path};

use uuid::Uuid;

use crate::{atomic_file, config::Durability, kafka_uuid, properties_file};

const FILE_NAME: &str = "meta.properties";
/// Kafka wrote version 0 when it kept its metadata in ZooKeeper.
const VERSION: &str = "1";

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

    /// Gives a directory an id that has none, as Kafka does: those before 3.7 needed none.
    pub(super) fn load(dir: &Path) -> io::Result<Option<MetaProperties>> {
        let path = dir.join(FILE_NAME);
        let Some(text) = atomic_file::read_if_present(&path)? else { return Ok(None) };
        let parsed = parse(&text);
        let (meta, has_directory_id) = parsed.map_err(|what| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
        })?;
        if !has_directory_id {
            meta.store(dir, Durability::Power)?;
        }
        Ok(Some(meta))
    }

    pub(super) fn store(&self, dir: &Path, durability: Durability) -> io::Result<()> {
        atomic_file::replace(&dir.join(FILE_NAME), self.text().as_bytes(), durability)
    }

    /// In the order in which Java's hash table has them.
    fn text(&self) -> String {
        [
            properties_file::format("node.id", &self.node_id.to_string()),
            properties_file::format("directory.id", &kafka_uuid::format(self.directory_id)),
            properties_file::format("version", VERSION),
            properties_file::format("cluster.id", &self.cluster_id),
        ]
        .concat()
    }
}

/// What the text says, and whether the id of the directory is in it; or what is wrong with it.
fn parse(text: &str) -> Result<(MetaProperties, bool), &'static str> {
    let properties: HashMap<String, String> = properties_file::parse(text)
        .into_iter()
        .map(|property| (property.name, property.value.trim().to_owned()))
        .collect();
    let property = |name: &str| properties.get(name).map(String::as_str);
    if property("version") == Some("0") {
        return Err("is of a Kafka with ZooKeeper; let Kafka 3.9 move it to KRaft, and try again");
    }
    let node_id = property("node.id").and_then(|id| id.parse().ok()).filter(|&id| id >= 0);
    let cluster_id = property("cluster.id").filter(|id| !id.is_empty());
    let directory_id = match property("directory.id") {
        Some(id) => {
            Some(kafka_uuid::parse(id).ok_or("lacks a sound directory.id; restore it from a backup")?)
        }
        None => None,
    };
    let (Some(node_id), Some(cluster_id)) = (node_id, cluster_id) else {
        return Err("lacks a sound cluster.id or node.id; restore it from a backup");
    };
    let cluster_id = cluster_id.to_owned();
    let found = directory_id.unwrap_or_else(kafka_uuid::random);
    Ok((MetaProperties { cluster_id, node_id, directory_id: found }, directory_id.is_some()))
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
    fn kafkas_file_is_understood_and_written() {
        let text = "#\n#Mon Nov 23 06:00:00 UTC 2026\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nversion=1\n\
                    cluster.id=a\\:b\n";
        let directory_id = Uuid::from_u128(1);
        let meta = MetaProperties { cluster_id: "a:b".to_owned(), node_id: 1, directory_id };
        assert_eq!(parse(text), Ok((meta.clone(), true)));
        assert!(text.ends_with(&meta.text()));
    }

    #[test]
    fn a_directory_without_an_id_gets_one_for_good() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "version=1\ncluster.id=abc\nnode.id=7\n").unwrap();
        let meta = MetaProperties::load(dir.path()).unwrap().unwrap();
        assert_eq!((meta.cluster_id.as_str(), meta.node_id), ("abc", 7));
        assert_eq!(MetaProperties::load(dir.path()).unwrap(), Some(meta));
    }

    #[test]
    fn a_damaged_file_is_named_with_what_it_lacks() {
        for (text, lacks) in [
            ("cluster.id=abc\n", "node.id"),
            ("cluster.id=abc\nnode.id=-1\n", "node.id"),
            ("cluster.id=abc\nnode.id=1\ndirectory.id=short\n", "directory.id"),
            ("version=0\nbroker.id=1\ncluster.id=abc\n", "ZooKeeper"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
            let error = MetaProperties::load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(FILE_NAME) && error.contains(lacks), "{error}");
        }
    }
}
