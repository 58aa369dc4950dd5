//! `tests/kraft`: what stood in `__cluster_metadata-0` after Kafka 4.3.1 had run on it twice or so.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_storage::{DataDir, DataDirError, Durability, kafka_uuid};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const KRAFT_LOG: &str = "__cluster_metadata-0";
pub(crate) const LOG: &str = "00000000000000000000.log";
/// The voters that the directory was formatted with.
pub(crate) const FIRST_SNAPSHOT: &str = "00000000000000000000-0000000000.checkpoint";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// Formatted with `--standalone`: topics 1 to 6 with two partitions and `retention.ms`, topic 3 deleted, topic 2
    /// with a third partition, topic 1 set to compact instead; settings of brokers and a quota; a snapshot after topic
    /// 5; then a clean stop, a start, topic 7, and a kill.
    Standalone,
    /// With `controller.quorum.voters`: topic `plain` with two partitions and then three, topic `gone` deleted, no
    /// snapshot, many no-ops.
    Static,
}

impl Sample {
    pub(crate) const ALL: [Sample; 2] = [Sample::Standalone, Sample::Static];

    fn name(self) -> &'static str {
        match self {
            Sample::Standalone => "standalone",
            Sample::Static => "static",
        }
    }

    pub(crate) fn directory_id(self) -> Uuid {
        let id = match self {
            Sample::Standalone => "a5i5gNUiRDumzugcJKj1sg",
            Sample::Static => "n1fAijNbipJKqtTisdS3jQ",
        };
        kafka_uuid::parse(id).unwrap()
    }

    pub(crate) fn files(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kraft").join(self.name())
    }

    /// A directory as that Kafka left it, but for the partitions.
    pub(crate) fn dir(self) -> TempDir {
        let dir = kafka_dir(self.directory_id());
        for file in fs::read_dir(self.files()).unwrap() {
            let file = file.unwrap().path();
            fs::copy(&file, dir.path().join(KRAFT_LOG).join(file.file_name().unwrap())).unwrap();
        }
        dir
    }

    pub(crate) fn bytes(self, name: &str) -> Vec<u8> {
        fs::read(self.files().join(name)).unwrap()
    }
}

/// A directory of node 1 with an empty metadata log.
pub(crate) fn kafka_dir(directory_id: Uuid) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let id = kafka_uuid::format(directory_id);
    let meta = format!(
        "#\n#Fri Nov 27 00:37:40 UTC 2026\nnode.id=1\ndirectory.id={id}\nversion=1\ncluster.id=kafkas\n"
    );
    fs::write(dir.path().join("meta.properties"), meta).unwrap();
    fs::create_dir(dir.path().join(KRAFT_LOG)).unwrap();
    dir
}

pub(crate) fn open(dir: &Path) -> DataDir {
    DataDir::open(dir, 1, Durability::Process).unwrap()
}

pub(crate) fn refused(dir: &Path) -> DataDirError {
    DataDir::open(dir, 1, Durability::Process).err().expect("the directory is refused")
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Partitions by topic.
pub(crate) fn partitions(data_dir: &DataDir) -> Vec<(String, usize)> {
    data_dir.metadata().topics().map(|(name, topic)| (name.to_owned(), topic.partitions.len())).collect()
}
