//! From timestamps and leader epochs to offsets (ListOffsets, OffsetForLeaderEpoch).

use super::{Isolation, Log, ReadError};
use crate::{
    leader_epochs::EpochEnd,
    segment::{OffsetAndTimestamp, Segment, SegmentError},
};

impl Log {
    /// The first record whose timestamp is at least `timestamp`, with its own timestamp; `None` when `isolation` hides
    /// it.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        isolation: Isolation,
    ) -> Result<Option<OffsetAndTimestamp>, ReadError> {
        let readable_end = self.end_offset_for(isolation)?;
        let found = self.steadily(|| self.first_with_timestamp(timestamp))?;
        Ok(found.filter(|found| found.offset < readable_end))
    }

    /// The first record that has the largest timestamp of the log (KIP-734); `None` when `isolation` hides it.
    pub fn offset_of_max_timestamp(
        &self,
        isolation: Isolation,
    ) -> Result<Option<OffsetAndTimestamp>, ReadError> {
        let readable_end = self.end_offset_for(isolation)?;
        let found = self.steadily(|| self.with_max_timestamp())?;
        Ok(found.filter(|found| found.offset < readable_end))
    }

    fn first_with_timestamp(&self, timestamp: i64) -> Result<Option<OffsetAndTimestamp>, ReadError> {
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

    fn with_max_timestamp(&self) -> Result<Option<OffsetAndTimestamp>, ReadError> {
        let (segments, start) =
            self.with_segments(|segments| (segments.list.clone(), segments.log_start_offset))?;
        let mut found = None;
        for segment in segments {
            let Some(largest) = largest_timestamp(&segment, start)? else { continue };
            if found.as_ref().is_none_or(|(timestamp, _)| largest > *timestamp) {
                found = Some((largest, segment));
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

/// Of the records at or behind `start`. The index knows of those before it, too.
fn largest_timestamp(segment: &Segment, start: i64) -> Result<Option<i64>, SegmentError> {
    let Some(largest) = segment.largest_timestamp()? else { return Ok(None) };
    if start <= segment.base_offset() || segment.find_timestamp(largest.timestamp, start)?.is_some() {
        return Ok(Some(largest.timestamp));
    }
    segment.largest_timestamp_from(start)
}
