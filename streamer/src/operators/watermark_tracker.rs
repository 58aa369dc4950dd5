//! How the watermarks of a query's inputs become its one watermark. Spark's `WatermarkTracker`.

use std::collections::BTreeMap;

use super::context::EventTimeStats;

/// Which of several inputs' watermarks counts: `spark.sql.streaming.multipleWatermarkPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipleWatermarkPolicy {
    /// The slowest input's: nothing is dropped that an input still waits for.
    Min,
    /// The fastest input's.
    Max,
}

/// Never goes back.
#[derive(Clone, Debug)]
pub(crate) struct WatermarkTracker {
    policy: MultipleWatermarkPolicy,
    inputs_ms: BTreeMap<usize, i64>,
    watermark_ms: i64,
}

impl WatermarkTracker {
    /// `watermark_ms` is what the checkpoint says, or 0.
    pub(crate) fn new(policy: MultipleWatermarkPolicy, watermark_ms: i64) -> WatermarkTracker {
        WatermarkTracker { policy, inputs_ms: BTreeMap::new(), watermark_ms }
    }

    pub(crate) fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// Takes what a batch has seen, for each input its delay and its event times.
    pub(crate) fn update(&mut self, inputs: &[(i64, EventTimeStats)]) {
        for (id, (delay_ms, stats)) in inputs.iter().enumerate() {
            let seen = stats.max_ms().map(|max_ms| max_ms.saturating_sub(*delay_ms));
            let input = self.inputs_ms.entry(id).or_insert(0);
            // An input's first value counts even before 1970, as in Spark.
            *input = seen.map_or(*input, |seen| seen.max(*input));
        }
        let chosen = match self.policy {
            MultipleWatermarkPolicy::Min => self.inputs_ms.values().min(),
            MultipleWatermarkPolicy::Max => self.inputs_ms.values().max(),
        };
        self.watermark_ms = chosen.map_or(self.watermark_ms, |chosen| self.watermark_ms.max(*chosen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ms: i64) -> EventTimeStats {
        EventTimeStats::of(std::iter::once(ms * 1_000))
    }

    #[test]
    fn follows_the_latest_event_and_never_goes_back() {
        let mut tracker = WatermarkTracker::new(MultipleWatermarkPolicy::Min, 0);
        tracker.update(&[(10_000, seen(21_000))]);
        assert_eq!(tracker.watermark_ms(), 11_000);
        tracker.update(&[(10_000, seen(5_000))]);
        tracker.update(&[(10_000, EventTimeStats::default())]);
        assert_eq!(tracker.watermark_ms(), 11_000);
    }

    #[test]
    fn of_several_inputs_the_slowest_or_the_fastest_counts() {
        let inputs = [(1_000, seen(50_000)), (1_000, EventTimeStats::default())];
        let mut slowest = WatermarkTracker::new(MultipleWatermarkPolicy::Min, 0);
        slowest.update(&inputs);
        assert_eq!(slowest.watermark_ms(), 0);
        slowest.update(&[(1_000, seen(60_000)), (1_000, seen(30_000))]);
        assert_eq!(slowest.watermark_ms(), 29_000);
        let mut fastest = WatermarkTracker::new(MultipleWatermarkPolicy::Max, 0);
        fastest.update(&inputs);
        assert_eq!(fastest.watermark_ms(), 49_000);
    }

    #[test]
    fn goes_on_from_the_checkpoint() {
        let mut tracker = WatermarkTracker::new(MultipleWatermarkPolicy::Min, 42_000);
        tracker.update(&[(0, EventTimeStats::default())]);
        assert_eq!(tracker.watermark_ms(), 42_000);
    }
}
