//! How much is measured.

#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    /// JSON records of about 70 bytes, in [`super::topics::PARTITIONS`] partitions.
    pub(super) records: u64,
    /// Records of one micro-batch of those.
    pub(super) records_per_batch: u64,
    /// Micro-batches of one record each.
    pub(super) trivial_batches: u64,
    /// Records of one micro-batch where state grows by a key a record.
    pub(super) keys_per_batch: u64,
}

impl Workload {
    pub(super) const FULL: Workload = Workload {
        records: 5_000_000,
        records_per_batch: 500_000,
        trivial_batches: 200,
        keys_per_batch: 100_000,
    };

    /// To see whether it all runs.
    pub(super) const QUICK: Workload = Workload {
        records: 500_000,
        records_per_batch: 100_000,
        trivial_batches: 20,
        keys_per_batch: 25_000,
    };
}
