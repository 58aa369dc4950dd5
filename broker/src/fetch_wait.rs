//! Long polls: a fetch that found too little is parked on its partitions, and the append itself wakes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ottla_storage::Isolation;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::partition::Partition;

/// What all waiting fetches of a broker take together, each its partitions and [`FETCH_PARTITIONS`]. A partition takes
/// about 256 bytes, so 64 MiB in all.
pub(crate) const MAX_PARKED_PARTITIONS: usize = 1 << 18;

/// The fetch itself takes as much as so many partitions.
const FETCH_PARTITIONS: usize = 8;

/// The room for fetches that wait.
pub(crate) struct ParkingRoom {
    partitions: Semaphore,
}

impl ParkingRoom {
    pub(crate) fn new(max_partitions: usize) -> ParkingRoom {
        ParkingRoom { partitions: Semaphore::new(max_partitions) }
    }

    /// Room for a fetch of so many partitions. Where there is none, the fetch is answered with what there is.
    pub(crate) fn try_enter(&self, partitions: usize) -> Option<SemaphorePermit<'_>> {
        let wanted = u32::try_from(partitions.saturating_add(FETCH_PARTITIONS)).ok()?;
        self.partitions.try_acquire_many(wanted).ok()
    }
}

/// The fetches parked on one partition, by the address of each, so that one of ten thousand leaves as fast as one of
/// two.
#[derive(Default)]
pub(crate) struct Waiters {
    parked: Mutex<BTreeMap<usize, Arc<ParkedFetch>>>,
}

/// A fetch that waits for `min_bytes`.
struct ParkedFetch {
    isolation: Isolation,
    /// How much has still to be appended, to any of its partitions.
    missing_bytes: AtomicI64,
    woken: Notify,
}

/// Who can read what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeenBy {
    Everybody,
    /// Something in front of it is not decided yet.
    ReadUncommitted,
    /// It is not on the disk yet.
    Nobody,
}

/// A fetch's place among the waiters of its partitions; leaves them when dropped.
pub(crate) struct FetchWait<'a> {
    parked: Arc<ParkedFetch>,
    partitions: &'a [Arc<Partition>],
}

impl Waiters {
    /// Counts an append towards every parked fetch that can see it, and wakes those that now have enough.
    pub(crate) fn appended(&self, bytes: usize, seen_by: SeenBy) {
        let bytes = to_i64(bytes);
        for parked in self.parked.lock().values() {
            let sees = match seen_by {
                SeenBy::Everybody => true,
                SeenBy::ReadUncommitted => parked.isolation == Isolation::ReadUncommitted,
                SeenBy::Nobody => false,
            };
            if !sees {
                continue;
            }
            if parked.missing_bytes.fetch_sub(bytes, Ordering::Relaxed) <= bytes {
                parked.woken.notify_one();
            }
        }
    }

    /// Wakes the parked fetches that were kept from what a transaction had appended. How much that is, they see when
    /// they look.
    pub(crate) fn decided(&self) {
        for parked in self.parked.lock().values() {
            if parked.isolation == Isolation::ReadCommitted {
                parked.woken.notify_one();
            }
        }
    }

    /// Wakes the parked fetches: what was appended may be read now that it is on the disk.
    pub(crate) fn synced(&self) {
        self.wake_all();
    }

    /// Wakes every parked fetch: the partition is going away.
    pub(crate) fn wake_all(&self) {
        for parked in self.parked.lock().values() {
            parked.woken.notify_one();
        }
    }
}

impl<'a> FetchWait<'a> {
    /// Parks a fetch until `min_bytes` more have been appended to `partitions`.
    ///
    /// What was appended before this call does not count: look at the partitions again after it, then wait.
    pub(crate) fn park(
        partitions: &'a [Arc<Partition>],
        min_bytes: usize,
        isolation: Isolation,
    ) -> FetchWait<'a> {
        let missing_bytes = AtomicI64::new(to_i64(min_bytes));
        let parked = Arc::new(ParkedFetch { isolation, missing_bytes, woken: Notify::new() });
        for partition in partitions {
            partition.waiters.parked.lock().insert(address(&parked), parked.clone());
        }
        FetchWait { parked, partitions }
    }

    /// Takes off what a second look has found.
    pub(crate) fn found(&self, bytes: usize) {
        self.parked.missing_bytes.fetch_sub(to_i64(bytes), Ordering::Relaxed);
    }

    pub(crate) async fn woken(&self) {
        self.parked.woken.notified().await;
    }
}

impl Drop for FetchWait<'_> {
    fn drop(&mut self) {
        for partition in self.partitions {
            partition.waiters.parked.lock().remove(&address(&self.parked));
        }
    }
}

fn address(parked: &Arc<ParkedFetch>) -> usize {
    Arc::as_ptr(parked) as usize
}

fn to_i64(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
