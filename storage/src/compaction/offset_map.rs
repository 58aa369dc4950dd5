//! From each key to the offset of its last record, in bounded memory.

use std::hint::black_box;

use siphasher::sip128::SipHasher13;
use uuid::Uuid;

/// A power of two; growing takes the memory of one part twice, for a moment.
const PARTS: usize = 64;
const FIRST_SLOTS: usize = 16;
/// A part grows by its own size over this.
const GROWTH: usize = 2;

/// How many keys are best put at a time.
pub(crate) const KEYS_AT_A_TIME: usize = 64;

/// Knows a key by a hash of 128 bits, as Kafka does, not by its bytes: that two keys out of a billion share one is less
/// likely than that the disk errs. The hash is keyed at random, so that nobody can choose keys that collide.
///
/// Memory is taken as keys come, up to a limit. Linear probing, in parts that grow one by one.
pub(crate) struct OffsetMap {
    hasher: SipHasher13,
    parts: Vec<Part>,
    /// How many more slots the limit allows.
    free_slots: usize,
}

struct Part {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: Hash,
    /// Behind the key's last record; 0 in a slot without a key.
    next_offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Hash {
    place: u64,
    rest: u64,
}

/// The map has no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full;

/// A key of one map, and where a record of it is.
#[derive(Clone, Copy)]
pub(crate) struct KeyAt {
    hash: Hash,
    pub(crate) offset: i64,
}

impl OffsetMap {
    /// A map that takes at most `max_bytes`, but has room for a few keys in any case.
    pub(crate) fn new(max_bytes: usize) -> OffsetMap {
        let slots = max_bytes / size_of::<Slot>();
        OffsetMap {
            hasher: SipHasher13::new_with_key(Uuid::new_v4().as_bytes()),
            parts: (0..PARTS).map(|_| Part { slots: vec![Slot::EMPTY; FIRST_SLOTS], len: 0 }).collect(),
            free_slots: slots.saturating_sub(PARTS * FIRST_SLOTS),
        }
    }

    /// Notes that each key has a record at its offset, which is behind all that it had before. Returns how many were
    /// noted: fewer than all when there is no room for the next one.
    pub(crate) fn put_all(&mut self, keys: &[KeyAt]) -> usize {
        self.load_slots(keys);
        let refused = keys.iter().position(|&KeyAt { hash, offset }| self.put(hash, offset).is_err());
        refused.unwrap_or(keys.len())
    }

    /// Memory gives several slots as fast as one, if they are asked for together.
    fn load_slots(&self, keys: &[KeyAt]) {
        let slots = keys.iter().map(|KeyAt { hash, .. }| {
            let slots = &self.parts[hash.part()].slots;
            slots[hash.slot(slots.len())].next_offset
        });
        black_box(slots.fold(0, |all, next_offset| all ^ next_offset));
    }

    fn put(&mut self, hash: Hash, offset: i64) -> Result<(), Full> {
        let part = &mut self.parts[hash.part()];
        if !part.has_room() {
            part.grow(&mut self.free_slots);
        }
        let slot = part.find(hash);
        if part.slots[slot].next_offset == 0 {
            if part.is_full() {
                return Err(Full);
            }
            part.len += 1;
        }
        part.slots[slot] = Slot { hash, next_offset: offset as u64 + 1 };
        Ok(())
    }

    pub(crate) fn key_at(&self, key: &[u8], offset: i64) -> KeyAt {
        KeyAt { hash: self.hash(key), offset }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let hash = self.hash(key);
        let part = &self.parts[hash.part()];
        part.slots[part.find(hash)].next_offset.checked_sub(1).map(|offset| offset as i64)
    }

    /// The offset of every key, in no order.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = i64> {
        let slots = self.parts.iter().flat_map(|part| &part.slots);
        slots.filter_map(|slot| slot.next_offset.checked_sub(1)).map(|offset| offset as i64)
    }

    /// How many keys there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len).sum()
    }

    fn hash(&self, key: &[u8]) -> Hash {
        let hash = self.hasher.hash(key);
        Hash { place: hash.h1, rest: hash.h2 }
    }
}

impl Slot {
    const EMPTY: Slot = Slot { hash: Hash { place: 0, rest: 0 }, next_offset: 0 };
}

impl Hash {
    fn part(self) -> usize {
        self.place as usize % PARTS
    }

    /// The upper bits decide, which [`Hash::part`] does not look at.
    fn slot(self, slots: usize) -> usize {
        ((u128::from(self.place) * slots as u128) >> 64) as usize
    }
}

impl Part {
    /// Searches stay short up to four fifths.
    fn has_room(&self) -> bool {
        self.len < self.slots.len() / 5 * 4
    }

    /// Kafka's `log.cleaner.io.buffer.load.factor`: when there is no more memory, longer searches are the smaller evil.
    /// One slot at least is free, which ends each search.
    fn is_full(&self) -> bool {
        self.len + 1 >= (self.slots.len() * 9).div_ceil(10)
    }

    /// The key's slot, or the free one where it belongs.
    fn find(&self, hash: Hash) -> usize {
        let mut at = hash.slot(self.slots.len());
        loop {
            let slot = &self.slots[at];
            if slot.next_offset == 0 || slot.hash == hash {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    /// As far as `free_slots` go.
    fn grow(&mut self, free_slots: &mut usize) {
        let wanted = (self.slots.len() / GROWTH).max(FIRST_SLOTS);
        if wanted > *free_slots {
            return;
        }
        *free_slots -= wanted;
        let larger = vec![Slot::EMPTY; self.slots.len() + wanted];
        let smaller = std::mem::replace(&mut self.slots, larger);
        for slot in smaller.into_iter().filter(|slot| slot.next_offset > 0) {
            let at = self.find(slot.hash);
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there was room for it.
    fn put(map: &mut OffsetMap, key: &[u8], offset: i64) -> bool {
        map.put_all(&[map.key_at(key, offset)]) == 1
    }

    #[test]
    fn each_key_has_its_last_offset() {
        let mut map = OffsetMap::new(1 << 20);
        let keys: Vec<KeyAt> =
            (0..20_000_i64).map(|offset| map.key_at(&(offset % 7_000).to_be_bytes(), offset)).collect();
        for some in keys.chunks(KEYS_AT_A_TIME) {
            assert_eq!(map.put_all(some), some.len());
        }
        assert_eq!(map.len(), 7_000);
        for key in 0..7_000_i64 {
            let last = if key < 6_000 { 14_000 + key } else { 7_000 + key };
            assert_eq!(map.get(&key.to_be_bytes()), Some(last));
        }
        assert_eq!(map.get(b"unknown"), None);
        assert_eq!(map.get(b""), None);
    }

    #[test]
    fn a_full_map_takes_known_keys_and_refuses_others() {
        let mut map = OffsetMap::new(1 << 20);
        let limit = (1 << 20) / size_of::<Slot>();
        let full_at = (0..i64::MAX).find(|&offset| !put(&mut map, &offset.to_be_bytes(), offset)).unwrap();
        assert_eq!(map.len(), full_at as usize);
        assert!(map.len() > limit / 2 && map.len() < limit, "{full_at} of {limit}");
        assert!(put(&mut map, &3_i64.to_be_bytes(), full_at));
        assert_eq!(map.get(&3_i64.to_be_bytes()), Some(full_at));
        assert_eq!(map.get(&full_at.to_be_bytes()), None);
    }

    #[test]
    fn the_smallest_map_takes_a_key() {
        let mut map = OffsetMap::new(0);
        assert!(put(&mut map, b"k", 0));
        assert_eq!(map.get(b"k"), Some(0));
    }
}
