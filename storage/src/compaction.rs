//! Compaction: of each key the last record stays, at its offset. Kafka's log cleaner is the specification.
//!
//! Two passes over the part of the log that has no batch being written: the first notes the last offset of each key of
//! the part that is dirty (`batch_cleaner::KeyOffsets`), the second writes what stays (`batch_cleaner::BatchCleaner`),
//! several small segments into one. What decides is pure; [`crate::log`] reads, writes and swaps.

mod batch_cleaner;
mod offset_map;
mod offset_set;
mod plan;
mod segment_writer;
#[cfg(test)]
mod tests;
mod transactions;

pub(crate) use batch_cleaner::{BatchCleaner, Cleaned, Counts, KeyOffsets, LastTrace, Rules};
pub(crate) use plan::{LogFacts, Plan, SegmentFacts, groups};
pub(crate) use segment_writer::{CleanError, SegmentWriter};
pub(crate) use transactions::CleanedTransactions;

/// A topic's settings for compaction, named after Kafka's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionPolicy {
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
}

impl Default for CompactionPolicy {
    /// Kafka's defaults.
    fn default() -> CompactionPolicy {
        CompactionPolicy {
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 60 * 60 * 1000,
        }
    }
}
