//! What a run has measured, before anything is made of it.

use std::collections::HashMap;

use crate::peers::Peer;

/// One kind of value that a measurement takes of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    StartToOpenPortMs,
    StartToFirstAckMs,
    IdleMemoryMb,
    LoadedMemoryMb,
    ProduceCpuSeconds,
    ProduceCpuSecondsPerGb,
    ProducedPerSecond,
    ProducedInTransactionsPerSecond,
    FirstInTransactionsPerSecond,
    TransactionalOverPlain,
    ConsumeCpuSeconds,
    ConsumeCpuSecondsPerGb,
    ConsumedPerSecond,
    LatencyMs,
    TransactionalCpuSecondsPerMillion,
    CompactedMbPerSecond,
    CompactionMemoryMb,
    CompactionSlowdown,
    SyncedAcksOfOnePerSecond,
    SyncedAcksOfManyPerSecond,
    SyncedAcksOfManyOverOne,
    RestartWithRecordsToFirstAckMs,
    RestartWithRecordsToAllEndsMs,
    RestartWithRecordsMemoryMb,
    RestartWithPartitionsToFirstAckMs,
    RestartWithPartitionsToAllEndsMs,
    RestartWithPartitionsMemoryMb,
    RestartWithPartitionsOpenFiles,
    RestartWithPartitionsIdleCpuSeconds,
}

/// One value, in the unit that its metric names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading(pub(crate) Metric, pub(crate) f64);

/// Every value measured, in the order of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    values: HashMap<(Metric, Peer), Vec<f64>>,
}

/// Which of a metric's values a figure stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// The first run after the start: what a test or a laptop sees.
    Cold,
    /// The median from the third run on, when a JVM has compiled its hot paths.
    Warm,
    /// The highest value from the third run on.
    WarmBest,
    Median,
}

const COLD_ROUNDS: usize = 2;
/// The fewest rounds that have a warm one.
pub(crate) const ROUNDS_MIN: usize = COLD_ROUNDS + 1;

impl Samples {
    pub(crate) fn add(&mut self, peer: Peer, Reading(metric, value): Reading) {
        self.values.entry((metric, peer)).or_default().push(value);
    }

    /// `None` where the peer could not be measured.
    pub(crate) fn take(&self, metric: Metric, peer: Peer, take: Take) -> Option<f64> {
        let values = self.values.get(&(metric, peer))?;
        match take {
            Take::Cold => values.first().copied(),
            Take::Warm => median(values.get(COLD_ROUNDS..)?),
            Take::WarmBest => values.get(COLD_ROUNDS..)?.iter().copied().reduce(f64::max),
            Take::Median => median(values),
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted.get(middle).copied();
    }
    Some((sorted.get(middle.checked_sub(1)?)? + sorted.get(middle)?) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_takes_its_own_rounds() {
        let mut samples = Samples::default();
        for value in [9.0, 5.0, 2.0, 4.0, 3.0] {
            samples.add(Peer::Kafka, Reading(Metric::ProduceCpuSeconds, value));
        }
        let take = |take| samples.take(Metric::ProduceCpuSeconds, Peer::Kafka, take);
        assert_eq!(take(Take::Cold), Some(9.0));
        assert_eq!(take(Take::Warm), Some(3.0));
        assert_eq!(take(Take::WarmBest), Some(4.0));
        assert_eq!(take(Take::Median), Some(4.0));
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        let samples = Samples::default();
        assert_eq!(samples.take(Metric::LatencyMs, Peer::Kfake, Take::Median), None);
    }
}
