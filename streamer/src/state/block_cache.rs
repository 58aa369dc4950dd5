//! Blocks of runs in memory, as many as the limit allows. Which go is decided by the clock algorithm.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

/// A run's number and the block's place in it.
pub(super) type BlockId = (u64, usize);

/// What a block costs beside its bytes.
const OVERHEAD_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct BlockCache {
    clock: Mutex<Clock>,
}

#[derive(Debug, Default)]
struct Clock {
    limit: usize,
    bytes: usize,
    places: HashMap<BlockId, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    id: BlockId,
    block: Bytes,
    /// Since the hand came by.
    used: bool,
}

impl BlockCache {
    pub(super) fn new(limit: usize) -> BlockCache {
        BlockCache { clock: Mutex::new(Clock { limit, ..Clock::default() }) }
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Bytes> {
        let mut clock = self.clock.lock();
        let place = *clock.places.get(&id)?;
        let slot = clock.slots.get_mut(place)?;
        slot.used = true;
        Some(slot.block.clone())
    }

    pub(super) fn insert(&self, id: BlockId, block: Bytes) {
        let mut clock = self.clock.lock();
        let bytes = cost(&block);
        if bytes > clock.limit || clock.places.contains_key(&id) {
            return;
        }
        clock.make_room(bytes);
        let place = clock.slots.len();
        clock.slots.push(Slot { id, block, used: false });
        clock.places.insert(id, place);
        clock.bytes += bytes;
    }

    /// Lets go of the blocks of runs that are read no more.
    pub(super) fn forget(&self, runs: &[u64]) {
        let mut clock = self.clock.lock();
        let is_gone = |slot: &Slot| runs.contains(&slot.id.0);
        let gone: usize = clock.slots.iter().filter(|slot| is_gone(slot)).map(|slot| cost(&slot.block)).sum();
        clock.bytes -= gone;
        clock.slots.retain(|slot| !is_gone(slot));
        clock.places = clock.slots.iter().enumerate().map(|(place, slot)| (slot.id, place)).collect();
    }

    pub(super) fn set_limit(&self, limit: usize) {
        let mut clock = self.clock.lock();
        clock.limit = limit;
        clock.make_room(0);
    }

    pub(super) fn limit(&self) -> usize {
        self.clock.lock().limit
    }

    pub(super) fn bytes(&self) -> usize {
        self.clock.lock().bytes
    }
}

impl Clock {
    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.limit && !self.slots.is_empty() {
            self.hand = if self.hand < self.slots.len() { self.hand } else { 0 };
            match self.slots.get_mut(self.hand) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.hand += 1;
                }
                _ => self.remove_at_hand(),
            }
        }
    }

    /// The last block takes the place of the one that goes.
    fn remove_at_hand(&mut self) {
        let gone = self.slots.swap_remove(self.hand);
        self.bytes -= cost(&gone.block);
        self.places.remove(&gone.id);
        if let Some(moved) = self.slots.get(self.hand) {
            self.places.insert(moved.id, self.hand);
        }
    }
}

fn cost(block: &Bytes) -> usize {
    block.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_within_its_limit() {
        let cache = BlockCache::new(10 * (100 + OVERHEAD_BYTES));
        let block = || Bytes::from(vec![7; 100]);
        for place in 0..100 {
            cache.insert((1, place), block());
            assert!(cache.get((1, 0)).is_some(), "{place}");
            assert!(cache.bytes() <= cache.limit());
        }
        let kept = (0..100).filter(|place| cache.get((1, *place)).is_some()).count();
        assert_eq!(kept, 10);
        cache.set_limit(3 * (100 + OVERHEAD_BYTES));
        assert_eq!(cache.bytes(), cache.limit());
        cache.insert((2, 0), Bytes::from(vec![0; 10_000]));
        assert!(cache.get((2, 0)).is_none());
    }

    #[test]
    fn forgets_the_blocks_of_a_run() {
        let cache = BlockCache::new(1 << 20);
        for place in 0..4 {
            cache.insert((place % 2, place as usize), Bytes::from(vec![7; 100]));
        }
        cache.forget(&[0]);
        assert_eq!([0, 2].map(|place| cache.get((0, place))), [None, None]);
        assert!(cache.get((1, 1)).is_some() && cache.get((1, 3)).is_some());
        assert_eq!(cache.bytes(), 2 * (100 + OVERHEAD_BYTES));
    }
}
