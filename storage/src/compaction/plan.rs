//! Which part of a log is to be compacted, and whether it is worth it. Kafka's rules; pure.

use super::CompactionPolicy;

/// A segment, as far as the plan depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) base_offset: i64,
    pub(crate) size_bytes: u64,
    /// Looked up where `min.compaction.lag.ms` is set.
    pub(crate) largest_timestamp: Option<i64>,
    /// The largest of its first batch; looked up where `max.compaction.lag.ms` is set.
    pub(crate) first_timestamp: Option<i64>,
}

/// A log at one moment.
pub(crate) struct LogFacts<'a> {
    /// Without the active one.
    pub(crate) sealed: &'a [SegmentFacts],
    pub(crate) active_base_offset: i64,
    pub(crate) start_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) last_stable_offset: i64,
    /// Where the last compaction ended, by the checkpoint.
    pub(crate) cleaned_to: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) first_dirty_offset: i64,
    /// A segment begins here.
    pub(crate) first_uncleanable_offset: i64,
    pub(crate) clean_bytes: u64,
    pub(crate) cleanable_bytes: u64,
    /// `max.compaction.lag.ms` is over for what is cleanable.
    pub(crate) is_overdue: bool,
    /// There are dirty sealed segments that only time, or the end of a transaction, makes cleanable.
    pub(crate) must_wait: bool,
}

impl Plan {
    pub(crate) fn of(log: &LogFacts<'_>, policy: &CompactionPolicy, now_ms: i64) -> Plan {
        let first_dirty_offset = first_dirty(log);
        let uncleanable = first_uncleanable(log, first_dirty_offset, policy, now_ms).max(first_dirty_offset);
        let first_uncleanable_offset = segment_begin(log, uncleanable);
        let bytes_in = |from: i64, to: i64| sum_bytes(log.sealed, from, to);
        let dirty_from = segment_begin(log, first_dirty_offset.min(first_uncleanable_offset));
        let cleanable_bytes = bytes_in(dirty_from, first_uncleanable_offset);
        let is_overdue = cleanable_bytes > 0 && is_overdue(log, first_dirty_offset, policy, now_ms);
        let left_bytes = bytes_in(first_uncleanable_offset, log.active_base_offset);
        Plan {
            first_dirty_offset,
            first_uncleanable_offset,
            clean_bytes: bytes_in(0, dirty_from),
            cleanable_bytes,
            is_overdue,
            must_wait: left_bytes > 0
                || cleanable_bytes > 0 && !is_overdue && policy.max_compaction_lag_ms < i64::MAX,
        }
    }

    /// The share of the log that was not compacted yet.
    pub(crate) fn dirty_ratio(&self) -> f64 {
        let total_bytes = self.clean_bytes + self.cleanable_bytes;
        if total_bytes == 0 { 0.0 } else { self.cleanable_bytes as f64 / total_bytes as f64 }
    }

    pub(crate) fn is_worth_it(&self, policy: &CompactionPolicy) -> bool {
        self.is_overdue || self.dirty_ratio() > policy.min_cleanable_dirty_ratio
    }
}

/// A checkpoint that the log does not reach back to, or up to, says nothing.
fn first_dirty(log: &LogFacts<'_>) -> i64 {
    let sound = |&offset: &i64| (log.start_offset..=log.end_offset).contains(&offset);
    log.cleaned_to.filter(sound).unwrap_or(log.start_offset)
}

/// Not the active segment, nothing that an open transaction may still change, and no segment whose records are younger
/// than `min.compaction.lag.ms`.
fn first_uncleanable(log: &LogFacts<'_>, first_dirty: i64, policy: &CompactionPolicy, now_ms: i64) -> i64 {
    let stable = log.last_stable_offset.min(log.active_base_offset);
    if policy.min_compaction_lag_ms <= 0 {
        return stable;
    }
    let latest = now_ms.saturating_sub(policy.min_compaction_lag_ms);
    let is_young = |segment: &&SegmentFacts| segment.largest_timestamp.is_some_and(|time| time > latest);
    let young = dirty_segments(log, first_dirty).iter().find(is_young);
    young.map_or(stable, |segment| stable.min(segment.base_offset))
}

fn is_overdue(log: &LogFacts<'_>, first_dirty: i64, policy: &CompactionPolicy, now_ms: i64) -> bool {
    let oldest = dirty_segments(log, first_dirty)
        .iter()
        .filter_map(|segment| segment.first_timestamp.filter(|&timestamp| timestamp > 0))
        .min();
    oldest.is_some_and(|oldest| oldest < now_ms.saturating_sub(policy.max_compaction_lag_ms.max(0)))
}

/// From the one that holds `offset` on.
fn dirty_segments<'a>(log: &LogFacts<'a>, offset: i64) -> &'a [SegmentFacts] {
    if offset >= log.active_base_offset {
        return &[];
    }
    let behind = log.sealed.partition_point(|segment| segment.base_offset <= offset);
    &log.sealed[behind.saturating_sub(1)..]
}

/// Where the segment begins that holds `offset`.
fn segment_begin(log: &LogFacts<'_>, offset: i64) -> i64 {
    match dirty_segments(log, offset).first() {
        Some(segment) => segment.base_offset,
        None => log.active_base_offset,
    }
}

fn sum_bytes(sealed: &[SegmentFacts], from: i64, to: i64) -> u64 {
    let within = sealed.iter().filter(|segment| (from..to).contains(&segment.base_offset));
    within.map(|segment| segment.size_bytes).sum()
}

/// Runs of the segments in `sealed` that together make a segment that is not too large. `next_offset` is that of the
/// last.
pub(crate) fn groups(
    sealed: &[SegmentFacts],
    next_offset: i64,
    max_bytes: u64,
) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let mut first = 0;
    let mut bytes = 0;
    for (at, segment) in sealed.iter().enumerate() {
        let end_offset = sealed.get(at + 1).map_or(next_offset, |next| next.base_offset);
        let spans = end_offset - 1 - sealed[first].base_offset;
        let fits = bytes + segment.size_bytes <= max_bytes && spans <= i64::from(i32::MAX);
        if at > first && !fits {
            groups.push(first..at);
            (first, bytes) = (at, 0);
        }
        bytes += segment.size_bytes;
    }
    if first < sealed.len() {
        groups.push(first..sealed.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<SegmentFacts> {
        let segment = |base_offset, size_bytes, first, largest| SegmentFacts {
            base_offset,
            size_bytes,
            first_timestamp: Some(first),
            largest_timestamp: Some(largest),
        };
        vec![segment(0, 100, 1000, 1900), segment(10, 200, 2000, 2900), segment(20, 300, 3000, 3900)]
    }

    fn log(sealed: &[SegmentFacts]) -> LogFacts<'_> {
        LogFacts {
            sealed,
            active_base_offset: 30,
            start_offset: 0,
            end_offset: 35,
            last_stable_offset: 35,
            cleaned_to: None,
        }
    }

    fn range(plan: &Plan) -> (i64, i64, u64, u64) {
        (plan.first_dirty_offset, plan.first_uncleanable_offset, plan.clean_bytes, plan.cleanable_bytes)
    }

    #[test]
    fn everything_but_the_active_segment_is_dirty_at_first() {
        let sealed = segments();
        let plan = Plan::of(&log(&sealed), &CompactionPolicy::default(), 5000);
        assert_eq!(range(&plan), (0, 30, 0, 600));
        assert!(plan.is_worth_it(&CompactionPolicy::default()) && !plan.must_wait);
    }

    #[test]
    fn a_checkpoint_divides_clean_from_dirty() {
        let sealed = segments();
        let policy = CompactionPolicy::default();
        let at =
            |cleaned_to| Plan::of(&LogFacts { cleaned_to: Some(cleaned_to), ..log(&sealed) }, &policy, 5000);
        assert_eq!(range(&at(10)), (10, 30, 100, 500));
        assert!(at(10).is_worth_it(&policy));
        // A map that was full ended within a segment.
        assert_eq!(range(&at(25)), (25, 30, 300, 300));
        assert!(!at(25).is_worth_it(&policy), "the ratio must be exceeded");
        assert_eq!(range(&at(30)), (30, 30, 600, 0));
        assert_eq!(range(&at(36)), (0, 30, 0, 600), "behind the log end");
        let trimmed = LogFacts { cleaned_to: Some(3), start_offset: 5, ..log(&sealed) };
        assert_eq!(range(&Plan::of(&trimmed, &policy, 5000)), (5, 30, 0, 600));
    }

    #[test]
    fn what_an_open_transaction_may_change_is_left_alone() {
        let sealed = segments();
        let facts = LogFacts { last_stable_offset: 15, ..log(&sealed) };
        let plan = Plan::of(&facts, &CompactionPolicy::default(), 5000);
        assert_eq!(range(&plan), (0, 10, 0, 100));
        assert!(plan.must_wait);
    }

    #[test]
    fn lags_delay_and_force() {
        let sealed = segments();
        let delayed = CompactionPolicy { min_compaction_lag_ms: 1500, ..CompactionPolicy::default() };
        let plan = Plan::of(&log(&sealed), &delayed, 4000);
        assert_eq!(range(&plan), (0, 10, 0, 100));
        assert!(plan.must_wait);
        let forced = CompactionPolicy {
            max_compaction_lag_ms: 500,
            min_cleanable_dirty_ratio: 1.0,
            ..CompactionPolicy::default()
        };
        assert!(Plan::of(&log(&sealed), &forced, 1501).is_worth_it(&forced));
        let early = Plan::of(&log(&sealed), &forced, 1500);
        assert!(!early.is_worth_it(&forced) && early.must_wait);
    }

    #[test]
    fn groups_are_no_larger_than_a_segment() {
        let sealed = segments();
        assert_eq!(groups(&sealed, 30, 599), [0..2, 2..3]);
        assert_eq!(groups(&sealed, 30, 600).len(), 1);
        assert_eq!(groups(&sealed, 30, 300), [0..2, 2..3]);
        assert_eq!(groups(&sealed, 30, 50), [0..1, 1..2, 2..3]);
        assert_eq!(groups(&sealed, 20 + (1 << 31), 1000), [0..2, 2..3]);
        assert!(groups(&[], 0, 1000).is_empty());
    }
}
