//! How much is measured.

use std::time::Duration;

use crate::sample::ROUNDS_MIN;

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Brokers started one after the other, for the figures of a start.
    pub(crate) starts: usize,
    /// Runs of each measurement that has a broker of its own.
    pub(crate) runs: usize,
    /// Times that the records go in and out of a running broker.
    pub(crate) rounds: usize,
    pub(crate) records: u64,
    pub(crate) record_bytes: u64,
    pub(crate) latency_records: u64,
    /// Records that are produced in transactions of 1 ms to a broker that was just started.
    pub(crate) first_transactional_records: u64,
    /// And to one that is warm.
    pub(crate) transactional_records: u64,
    pub(crate) compacted_bytes: u64,
    /// How long the producers send whose acknowledgements are counted.
    pub(crate) load_time: Duration,
    /// What a broker holds when it is killed.
    pub(crate) killed_with_records: Held,
    pub(crate) killed_with_partitions: Held,
}

/// What is in a broker's partitions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) partitions: i32,
    /// In each partition.
    pub(crate) batches: usize,
    pub(crate) batch_bytes: usize,
}

impl Workload {
    pub(crate) const FULL: Workload = Workload {
        starts: 5,
        runs: 3,
        rounds: 6,
        records: 3_000_000,
        record_bytes: 100,
        latency_records: 3_000,
        first_transactional_records: 300_000,
        transactional_records: 1_000_000,
        compacted_bytes: 1_000_000_000,
        load_time: Duration::from_secs(4),
        // 2 GB
        killed_with_records: Held { partitions: 1_000, batches: 32, batch_bytes: 64_000 },
        killed_with_partitions: Held { partitions: 10_000, batches: 1, batch_bytes: 100 },
    };

    /// To see whether it all runs.
    pub(crate) const QUICK: Workload = Workload {
        starts: 1,
        runs: 1,
        rounds: ROUNDS_MIN,
        records: 300_000,
        latency_records: 300,
        first_transactional_records: 20_000,
        transactional_records: 20_000,
        compacted_bytes: 50_000_000,
        load_time: Duration::from_millis(500),
        killed_with_records: Held { partitions: 50, ..Workload::FULL.killed_with_records },
        killed_with_partitions: Held { partitions: 100, ..Workload::FULL.killed_with_partitions },
        ..Workload::FULL
    };

    pub(crate) fn gigabytes(&self) -> f64 {
        (self.records * self.record_bytes) as f64 / 1e9
    }
}
