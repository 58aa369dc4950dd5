//! Memory that the stores of several queries share, evenly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much memory stores may hold together. What finds the blocks of a run, about a twentieth of it, is always there.
#[derive(Clone, Debug, Default)]
pub struct StateMemory {
    limit_bytes: usize,
    stores: Arc<AtomicUsize>,
}

/// A store's part, as long as it is open.
#[derive(Debug)]
pub(super) struct MemoryShare(StateMemory);

impl StateMemory {
    pub fn new(limit_bytes: usize) -> StateMemory {
        StateMemory { limit_bytes, stores: Arc::default() }
    }

    /// Another limit for the same stores.
    pub fn with_limit(&self, limit_bytes: usize) -> StateMemory {
        StateMemory { limit_bytes, stores: self.stores.clone() }
    }

    pub(super) fn share(&self) -> MemoryShare {
        self.stores.fetch_add(1, Ordering::Relaxed);
        MemoryShare(self.clone())
    }
}

impl MemoryShare {
    /// It becomes less when further stores are opened.
    pub(super) fn bytes(&self) -> usize {
        self.0.limit_bytes / self.0.stores.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.0.stores.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_share_is_theirs_in_equal_parts_while_they_are_open() {
        let memory = StateMemory::new(1_000);
        let first = memory.share();
        assert_eq!(first.bytes(), 1_000);
        let second = memory.with_limit(1_000).share();
        assert_eq!((first.bytes(), second.bytes()), (500, 500));
        drop(first);
        assert_eq!(second.bytes(), 1_000);
    }
}
