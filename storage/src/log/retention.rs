//! Which segments are old enough to go, by Kafka's rules: those below the log start, those beyond `retention.bytes`,
//! those whose records are all older than `retention.ms`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use thiserror::Error;
use tracing::warn;

use super::{Log, LogStopped, LogWriter, State, WakeError};
use crate::{
    config::LogConfig,
    segment::{Segment, SegmentError},
};

/// Why segments whose time is over are still there. The next check tries again.
#[derive(Debug, Error)]
pub enum RetentionError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("cannot begin a segment in {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Stopped(LogStopped),
}

/// What decides, besides the settings.
#[derive(Clone, Copy)]
struct Moment {
    log_start_offset: i64,
    now_ms: i64,
}

impl Log {
    /// Drops the segments whose retention is over, and moves the log start behind them. Their files go as soon as nobody
    /// reads them. When all of it is over, an empty segment is begun. Returns how many went.
    ///
    /// A log without such segments is not woken, nor is its append lock taken.
    pub fn delete_old_segments(&self, now_ms: i64) -> Result<usize, RetentionError> {
        self.files.settle();
        let config = self.config();
        let count = self.count_old(&config, now_ms);
        if matches!(count, Ok(0)) {
            return Ok(0);
        }
        let dropped = self.with_writer(|writer| self.drop_old(writer, &config, now_ms))?;
        self.files.settle();
        dropped
    }

    /// Under the append lock nothing is dropped or replaced by others.
    fn drop_old(
        &self,
        writer: &mut LogWriter,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<usize, RetentionError> {
        let mut count = self.count_old(config, now_ms)?;
        if count == self.segments.read().list.len() {
            match self.roll(writer, now_ms) {
                Ok(()) => {}
                // On a full disk there may be no room for a new one, but what goes makes some.
                Err(error) if count > 1 && !writer.disk_has_failed() => {
                    warn!(log = %self.topic_partition, %error, "the last segment stays until the next check");
                    count -= 1;
                }
                Err(source) => return Err(RetentionError::Io { dir: self.dir().to_owned(), source }),
            }
        }
        self.drop_oldest(writer, count);
        Ok(count)
    }

    fn count_old(&self, config: &LogConfig, now_ms: i64) -> Result<usize, RetentionError> {
        let (segments, log_start_offset) = {
            let segments = self.opened_segments();
            if let State::Stopped(stopped) = segments.state {
                return Err(RetentionError::Stopped(stopped));
            }
            (segments.list.clone(), segments.log_start_offset)
        };
        Ok(count_old(&segments, config, Moment { log_start_offset, now_ms })?)
    }
}

/// What the rules look at in a segment.
trait Aging {
    fn base_offset(&self) -> i64;
    fn size_bytes(&self) -> u64;
    fn largest_timestamp_ms(&self) -> Result<i64, SegmentError>;
}

/// How many of the oldest segments go. The last one, which is appended to, goes too if it has records and they are old.
fn count_old<S: Aging>(segments: &[S], config: &LogConfig, moment: Moment) -> Result<usize, SegmentError> {
    let below_start =
        segments.iter().skip(1).take_while(|next| next.base_offset() <= moment.log_start_offset).count();
    if !config.deletes {
        return Ok(below_start);
    }
    let mut left = &segments[below_start..];
    left = &left[beyond_size(left, config)..];
    let too_old = |segment: &S| -> Result<bool, SegmentError> {
        let age_ms = moment.now_ms.saturating_sub(segment.largest_timestamp_ms()?);
        Ok(age_ms > config.retention_ms)
    };
    while config.retention_ms >= 0
        && let [first, rest @ ..] = left
        && may_go(first, rest)
        && too_old(first)?
    {
        left = rest;
    }
    Ok(segments.len() - left.len())
}

/// Those without which the log is still `retention.bytes` large.
fn beyond_size<S: Aging>(segments: &[S], config: &LogConfig) -> usize {
    let Ok(retention_bytes) = u64::try_from(config.retention_bytes) else { return 0 };
    let size_bytes: u64 = segments.iter().map(Aging::size_bytes).sum();
    let Some(mut excess_bytes) = size_bytes.checked_sub(retention_bytes) else { return 0 };
    let goes = |at: &usize| {
        let left_bytes = excess_bytes.checked_sub(segments[*at].size_bytes());
        excess_bytes = left_bytes.unwrap_or(0);
        left_bytes.is_some() && may_go(&segments[*at], &segments[at + 1..])
    };
    (0..segments.len()).take_while(goes).count()
}

/// An empty segment that is appended to stays.
fn may_go<S: Aging>(segment: &S, behind: &[S]) -> bool {
    !behind.is_empty() || segment.size_bytes() > 0
}

impl Aging for std::sync::Arc<Segment> {
    fn base_offset(&self) -> i64 {
        Segment::base_offset(self)
    }

    fn size_bytes(&self) -> u64 {
        u64::from(self.end().position)
    }

    /// Without timestamps, the time of the last append.
    fn largest_timestamp_ms(&self) -> Result<i64, SegmentError> {
        match self.largest_timestamp()? {
            Some(largest) => Ok(largest.timestamp),
            None => {
                modified_ms(&self.path()).map_err(|source| SegmentError::Io { path: self.path(), source })
            }
        }
    }
}

fn modified_ms(path: &Path) -> io::Result<i64> {
    let modified = fs::metadata(path)?.modified()?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

impl From<WakeError> for RetentionError {
    fn from(error: WakeError) -> RetentionError {
        match error {
            WakeError::Stopped(stopped) => RetentionError::Stopped(stopped),
            WakeError::Io { dir, source } => RetentionError::Io { dir, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    struct Sample {
        base_offset: i64,
        size_bytes: u64,
        timestamp: i64,
    }

    impl Aging for Sample {
        fn base_offset(&self) -> i64 {
            self.base_offset
        }

        fn size_bytes(&self) -> u64 {
            self.size_bytes
        }

        fn largest_timestamp_ms(&self) -> Result<i64, SegmentError> {
            Ok(self.timestamp)
        }
    }

    fn samples(sizes_and_timestamps: &[(u64, i64)]) -> Vec<Sample> {
        let sample = |(at, &(size_bytes, timestamp)): (usize, &(u64, i64))| Sample {
            base_offset: 10 * at as i64,
            size_bytes,
            timestamp,
        };
        sizes_and_timestamps.iter().enumerate().map(sample).collect()
    }

    fn config(retention_ms: i64, retention_bytes: i64) -> LogConfig {
        LogConfig { retention_ms, retention_bytes, ..LogConfig::default() }
    }

    fn count(segments: &[(u64, i64)], config: &LogConfig, log_start_offset: i64) -> usize {
        count_old(&samples(segments), config, Moment { log_start_offset, now_ms: 1000 }).unwrap()
    }

    #[test]
    fn by_age_all_records_of_a_segment_must_be_old() {
        let segments = [(5, 400), (5, 899), (5, 900), (5, 100)];
        assert_eq!(count(&segments, &config(100, -1), 0), 2);
        assert_eq!(count(&segments, &config(-1, -1), 0), 0);
        assert_eq!(count(&segments, &config(0, -1), 0), 4, "the last one, too");
        assert_eq!(count(&[(5, 400), (0, 400)], &config(0, -1), 0), 1, "but not if it is empty");
    }

    #[test]
    fn by_size_what_is_left_is_not_smaller_than_allowed() {
        let segments = [(5, 0), (5, 0), (5, 0)];
        for (retention_bytes, expected) in
            [(-1, 0), (15, 0), (14, 0), (10, 1), (9, 1), (5, 2), (1, 2), (0, 3)]
        {
            assert_eq!(count(&segments, &config(-1, retention_bytes), 0), expected, "{retention_bytes}");
        }
    }

    #[test]
    fn below_the_start_segments_go_whatever_the_policy() {
        let compacted = LogConfig { deletes: false, ..config(0, 0) };
        let segments = [(5, 0), (5, 0), (5, 0)];
        for (log_start_offset, expected) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (30, 2)] {
            assert_eq!(count(&segments, &compacted, log_start_offset), expected, "{log_start_offset}");
        }
    }

    proptest! {
        #[test]
        fn the_rules_agree_with_kafkas_one_after_the_other(
            mut segments in prop::collection::vec((1..20_u64, 0..1000_i64), 1..8),
            is_empty in any::<bool>(),
            retention_ms in -1..1000_i64,
            retention_bytes in -1..100_i64,
            log_start_offset in 0..90_i64,
        ) {
            if is_empty {
                segments.push((0, 0));
            }
            let found = count(&segments, &config(retention_ms, retention_bytes), log_start_offset);
            let mut left = samples(&segments);
            while left.len() > 1 && left[1].base_offset <= log_start_offset {
                left.remove(0);
            }
            let goes_by_size = |left: &[Sample]| {
                let size: i64 = left.iter().map(|left| left.size_bytes as i64).sum();
                retention_bytes >= 0
                    && size - left[0].size_bytes as i64 >= retention_bytes
                    && (left.len() > 1 || left[0].size_bytes > 0)
            };
            while !left.is_empty() && goes_by_size(&left) {
                left.remove(0);
            }
            let goes_by_age = |left: &[Sample]| {
                retention_ms >= 0
                    && 1000 - left[0].timestamp > retention_ms
                    && (left.len() > 1 || left[0].size_bytes > 0)
            };
            while !left.is_empty() && goes_by_age(&left) {
                left.remove(0);
            }
            prop_assert_eq!(found, segments.len() - left.len());
        }
    }
}
