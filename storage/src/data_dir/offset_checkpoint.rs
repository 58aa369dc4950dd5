//! The offset checkpoints of a data directory: a line `topic partition offset` for each partition.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{atomic_file, config::Durability, log::TopicPartition, text_lines};

pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Up to where compacted logs were compacted.
pub(super) const CLEANED: &str = "cleaner-offset-checkpoint";

/// A checkpoint, and what is in its file.
pub(super) struct OffsetCheckpoint {
    path: PathBuf,
    stored: Mutex<HashMap<TopicPartition, i64>>,
}

impl OffsetCheckpoint {
    pub(super) fn load(path: PathBuf) -> io::Result<OffsetCheckpoint> {
        let stored = Mutex::new(load(&path)?);
        Ok(OffsetCheckpoint { path, stored })
    }

    /// A damaged file is taken for an empty one.
    pub(super) fn load_or_empty(path: PathBuf) -> OffsetCheckpoint {
        let stored = Mutex::new(load(&path).unwrap_or_default());
        OffsetCheckpoint { path, stored }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, partition: &TopicPartition) -> Option<i64> {
        self.stored.lock().get(partition).copied()
    }

    /// The offsets are taken while nobody else writes, so that none in the file is older than one that was there.
    pub(super) fn store<'a>(
        &self,
        offsets: impl Iterator<Item = (&'a TopicPartition, i64)>,
        durability: Durability,
    ) -> io::Result<()> {
        let mut stored = self.stored.lock();
        let offsets: Vec<_> = offsets.collect();
        store(&self.path, offsets.iter().copied(), durability)?;
        *stored = offsets.into_iter().map(|(partition, offset)| (partition.clone(), offset)).collect();
        Ok(())
    }

    /// What is known of a partition that was deleted must not be taken for true of a new one with its name.
    pub(super) fn forget(&self, partition: &TopicPartition, durability: Durability) -> io::Result<()> {
        let mut stored = self.stored.lock();
        if !stored.contains_key(partition) {
            return Ok(());
        }
        let others = stored.iter().filter(|(other, _)| *other != partition);
        store(&self.path, others.map(|(other, &offset)| (other, offset)), durability)?;
        stored.remove(partition);
        Ok(())
    }
}

pub(super) fn load(path: &Path) -> io::Result<HashMap<TopicPartition, i64>> {
    let Some(text) = atomic_file::read_if_present(path)? else { return Ok(HashMap::new()) };
    let entries = text_lines::parse(&text, |fields| {
        let [topic, partition, offset] = fields else { return None };
        let partition = TopicPartition { topic: (*topic).to_owned(), partition: partition.parse().ok()? };
        Some((partition, offset.parse().ok().filter(|&offset| offset >= 0)?))
    })?;
    Ok(entries.into_iter().collect())
}

pub(super) fn store<'a>(
    path: &Path,
    offsets: impl Iterator<Item = (&'a TopicPartition, i64)>,
    durability: Durability,
) -> io::Result<()> {
    let lines: Vec<String> = offsets
        .map(|(TopicPartition { topic, partition }, offset)| format!("{topic} {partition} {offset}"))
        .collect();
    atomic_file::replace(path, text_lines::format(&lines).as_bytes(), durability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINTS);
        assert!(load(&path).unwrap().is_empty());
        let partition = TopicPartition { topic: "my-topic".to_owned(), partition: 3 };
        store(&path, [(&partition, 42)].into_iter(), Durability::Process).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n1\nmy-topic 3 42\n");
        assert_eq!(load(&path).unwrap(), HashMap::from([(partition, 42)]));
    }

    #[test]
    fn what_is_forgotten_is_not_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG_START_OFFSETS);
        let partitions = [0, 1].map(|partition| TopicPartition { topic: "t".to_owned(), partition });
        let checkpoint = OffsetCheckpoint::load(path.clone()).unwrap();
        checkpoint.forget(&partitions[0], Durability::Process).unwrap();
        assert!(!path.exists());
        checkpoint.store(partitions.iter().map(|partition| (partition, 7)), Durability::Process).unwrap();
        checkpoint.forget(&partitions[0], Durability::Process).unwrap();
        assert_eq!(checkpoint.get(&partitions[0]), None);
        assert_eq!(load(&path).unwrap(), HashMap::from([(partitions[1].clone(), 7)]));
    }

    #[test]
    fn damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINTS);
        for text in ["\n", "1\n0\n", "0\n2\nt 0 1\n", "0\n1\nt 0 -1\n", "0\n1\nt 0\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path).is_err(), "{text:?}");
        }
    }
}
