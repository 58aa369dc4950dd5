//! The offset checkpoints of a data directory: a line `topic partition offset` for each partition.

use std::{collections::HashMap, io, path::Path};

use crate::{atomic_file, config::Durability, log::TopicPartition, text_lines};

pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

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
    fn damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINTS);
        for text in ["\n", "1\n0\n", "0\n2\nt 0 1\n", "0\n1\nt 0 -1\n", "0\n1\nt 0\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(load(&path).is_err(), "{text:?}");
        }
    }
}
