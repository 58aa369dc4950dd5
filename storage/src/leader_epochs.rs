//! `leader-epoch-checkpoint`: from which offset on each leader epoch wrote. Text: `0`, the number of entries, then a
//! line `epoch startOffset` each (KIP-101).

use std::{io, path::Path};

use crate::{atomic_file, config::Durability, text_lines};

pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";

/// Ascending in both fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<EpochStart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochStart {
    pub(crate) epoch: i32,
    pub(crate) start_offset: i64,
}

/// Where an epoch ended, as OffsetForLeaderEpoch answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub leader_epoch: i32,
    pub end_offset: i64,
}

impl LeaderEpochs {
    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Says whether this began an epoch; one that is not above the latest changes nothing.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return false;
        }
        self.entries.retain(|entry| entry.start_offset < start_offset);
        self.entries.push(EpochStart { epoch, start_offset });
        true
    }

    /// Forgets what began at or behind `end_offset`.
    pub(crate) fn truncate(&mut self, end_offset: i64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end_offset);
        self.entries.len() < before
    }

    /// Forgets what ended at or before `start_offset`; the epoch that the log now begins with begins there.
    pub(crate) fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let before = self.entries.iter().filter(|entry| entry.start_offset < start_offset).count();
        let first =
            self.entries.partition_point(|entry| entry.start_offset <= start_offset).saturating_sub(1);
        self.entries.drain(..first);
        if before > 0
            && let Some(entry) = self.entries.first_mut()
        {
            entry.start_offset = entry.start_offset.max(start_offset);
        }
        before > 0
    }

    pub(crate) fn at_offset(&self, offset: i64) -> Option<i32> {
        self.entries.iter().rev().find(|entry| entry.start_offset <= offset).map(|entry| entry.epoch)
    }

    /// Where the largest epoch not above `epoch` ended: where the next began, or for the latest the log end. An epoch
    /// before the first ended where that begins. `None` for an epoch that the log has not come to.
    pub(crate) fn end_of(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEnd> {
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { leader_epoch: epoch, end_offset: log_end_offset });
        }
        let behind = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(behind)?.start_offset;
        let leader_epoch = behind.checked_sub(1).map_or(epoch, |floor| self.entries[floor].epoch);
        Some(EpochEnd { leader_epoch, end_offset })
    }

    pub(crate) fn load(path: &Path) -> io::Result<LeaderEpochs> {
        let Some(text) = atomic_file::read_if_present(path)? else { return Ok(LeaderEpochs::default()) };
        let entries = text_lines::parse(&text, |fields| {
            let [epoch, start_offset] = fields else { return None };
            Some(EpochStart { epoch: epoch.parse().ok()?, start_offset: start_offset.parse().ok()? })
        })?;
        Ok(LeaderEpochs { entries })
    }

    pub(crate) fn store(&self, path: &Path, durability: Durability) -> io::Result<()> {
        let line = |entry: &EpochStart| format!("{} {}", entry.epoch, entry.start_offset);
        let lines: Vec<String> = self.entries.iter().map(line).collect();
        atomic_file::replace(path, text_lines::format(&lines).as_bytes(), durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        assert!(epochs.assign(0, 0));
        assert!(epochs.assign(3, 10));
        assert!(!epochs.assign(3, 20));
        assert!(!epochs.assign(1, 20));
        epochs
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let epochs = epochs();
        assert_eq!(epochs.end_of(0, 30), Some(EpochEnd { leader_epoch: 0, end_offset: 10 }));
        assert_eq!(epochs.end_of(2, 30), Some(EpochEnd { leader_epoch: 0, end_offset: 10 }));
        assert_eq!(epochs.end_of(3, 30), Some(EpochEnd { leader_epoch: 3, end_offset: 30 }));
        assert_eq!(epochs.end_of(9, 30), None);
        assert_eq!(LeaderEpochs::default().end_of(0, 0), None);
    }

    #[test]
    fn an_offset_has_the_epoch_that_wrote_it() {
        assert_eq!(epochs().at_offset(9), Some(0));
        assert_eq!(epochs().at_offset(10), Some(3));
    }

    #[test]
    fn an_epoch_without_records_is_replaced() {
        let mut epochs = epochs();
        assert!(epochs.assign(4, 10));
        assert_eq!(epochs.at_offset(10), Some(4));
        assert!(epochs.truncate(10));
        assert_eq!(epochs.latest(), Some(0));
    }

    #[test]
    fn the_first_epoch_begins_where_the_log_does() {
        let starts = |start_offset| {
            let mut epochs = epochs();
            let changed = epochs.truncate_from_start(start_offset);
            (
                changed,
                epochs.entries.iter().map(|entry| (entry.epoch, entry.start_offset)).collect::<Vec<_>>(),
            )
        };
        assert_eq!(starts(0), (false, vec![(0, 0), (3, 10)]));
        assert_eq!(starts(4), (true, vec![(0, 4), (3, 10)]));
        assert_eq!(starts(10), (true, vec![(3, 10)]));
        assert_eq!(starts(12), (true, vec![(3, 12)]));
        assert!(!LeaderEpochs::default().truncate_from_start(5));
    }

    #[test]
    fn the_file_is_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        epochs().store(&path, Durability::Process).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\n0 0\n3 10\n");
        assert_eq!(LeaderEpochs::load(&path).unwrap(), epochs());
        std::fs::write(&path, "0\n2\n0 0\n").unwrap();
        assert!(LeaderEpochs::load(&path).is_err());
        std::fs::write(&path, "").unwrap();
        assert_eq!(LeaderEpochs::load(&path).unwrap(), LeaderEpochs::default());
    }
}
