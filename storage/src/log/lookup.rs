//! From timestamps and leader epochs to offsets (ListOffsets, OffsetForLeaderEpoch).

use super::{Log, ReadError};
use crate::{leader_epochs::EpochEnd, segment::OffsetAndTimestamp};

impl Log {
    /// The first record whose timestamp is at least `timestamp`, with its own timestamp.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<OffsetAndTimestamp>, ReadError> {
        let (segments, start) =
            self.with_segments(|segments| (segments.list.clone(), segments.log_start_offset))?;
        for segment in segments {
            let reaches = segment.largest_timestamp()?.is_some_and(|largest| largest.timestamp >= timestamp);
            if reaches && let Some(found) = segment.find_timestamp(timestamp, start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp of the log (KIP-734).
    pub fn offset_of_max_timestamp(&self) -> Result<Option<OffsetAndTimestamp>, ReadError> {
        let (segments, start) =
            self.with_segments(|segments| (segments.list.clone(), segments.log_start_offset))?;
        let mut found = None;
        for segment in segments {
            let Some(largest) = segment.largest_timestamp()? else { continue };
            if found.as_ref().is_none_or(|(timestamp, _)| largest.timestamp > *timestamp) {
                found = Some((largest.timestamp, segment));
            }
        }
        let Some((timestamp, segment)) = found else { return Ok(None) };
        Ok(segment.find_timestamp(timestamp, start)?)
    }

    /// The leader epoch of the last append; `None` before the first.
    pub fn latest_leader_epoch(&self) -> Result<Option<i32>, ReadError> {
        self.with_segments(|_| self.leader_epochs.read().latest())
    }

    /// The leader epoch in which the record at `offset` was appended.
    pub fn leader_epoch_at(&self, offset: i64) -> Result<Option<i32>, ReadError> {
        self.with_segments(|_| self.leader_epochs.read().at_offset(offset))
    }

    /// Where `leader_epoch`, or the largest one below it, ended.
    pub fn end_of_leader_epoch(&self, leader_epoch: i32) -> Result<Option<EpochEnd>, ReadError> {
        self.with_segments(|segments| self.leader_epochs.read().end_of(leader_epoch, segments.end_offset()))
    }
}
