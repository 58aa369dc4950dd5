//! What has changed since the last run was written, sorted, in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

/// What an entry costs beside its bytes: two handles, and its part of a tree's node.
const OVERHEAD_BYTES: usize = 120;
/// Keys and values share allocations of this size.
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Changes {
    entries: BTreeMap<Bytes, Changed>,
    chunk: BytesMut,
    bytes: usize,
    /// Entries of which it is not known whether the runs have them.
    unknown: usize,
    /// By how many rows the others are more than what the runs have of them.
    growth: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Changed {
    /// `None` if the key is gone.
    pub(super) value: Option<Bytes>,
    /// Whether the runs have the key alive, once that is known.
    pub(super) existed: Option<bool>,
}

impl Changed {
    /// By how many rows there are more with this change, once that is known.
    fn growth(&self) -> i64 {
        match (self.existed, &self.value) {
            (Some(false), Some(_)) => 1,
            (Some(true), None) => -1,
            _ => 0,
        }
    }
}

impl Changes {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Changed> {
        self.entries.get(key)
    }

    /// `existed` is for a key that has not changed before.
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>, existed: Option<bool>) {
        let value = value.map(|value| self.copy(value));
        if let Some(changed) = self.entries.get_mut(key) {
            self.growth -= changed.growth();
            changed.value = value;
            self.growth += changed.growth();
            return;
        }
        let key = self.copy(key);
        self.bytes += OVERHEAD_BYTES;
        let changed = Changed { value, existed };
        self.growth += changed.growth();
        self.unknown += usize::from(existed.is_none());
        self.entries.insert(key, changed);
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        self.bytes += bytes.len();
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    /// Whether the runs have these keys. Keys in order, most of which are entries, are found by one walk.
    pub(super) fn exist<'a>(&mut self, keys: impl Iterator<Item = (&'a [u8], bool)>) {
        let mut next = self.entries.range_mut::<[u8], _>(..).peekable();
        for (key, existed) in keys {
            if next.peek().is_none_or(|(entry, _)| **entry != *key) {
                next = self.entries.range_mut::<[u8], _>((Bound::Included(key), Bound::Unbounded)).peekable();
            }
            let entry = next.next_if(|(entry, _)| **entry == *key);
            if let Some((_, changed)) = entry.filter(|(_, changed)| changed.existed.is_none()) {
                changed.existed = Some(existed);
                self.growth += changed.growth();
                self.unknown -= 1;
            }
        }
    }

    /// The keys of which it is not known whether the runs have them.
    pub(super) fn unknown(&self) -> Vec<Bytes> {
        if self.unknown == 0 {
            return Vec::new();
        }
        let unknown = self.entries.iter().filter(|(_, changed)| changed.existed.is_none());
        unknown.map(|(key, _)| key.clone()).collect()
    }

    /// By how many rows there are more with the changes, once all of them are known.
    pub(super) fn growth(&self) -> i64 {
        self.growth
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Changed)> {
        self.entries.iter()
    }

    pub(super) fn from(&self, from: Bound<&[u8]>) -> std::collections::btree_map::Range<'_, Bytes, Changed> {
        self.entries.range::<[u8], _>((from, Bound::Unbounded))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// As they count against the memory limit.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Changes::default();
    }
}

/// Which keys lookups have found in the runs, so that to put them afterwards looks nothing up again.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: Mutex<KnownKeys>,
}

#[derive(Debug, Default)]
struct KnownKeys {
    bytes: Vec<u8>,
    /// Where each key ends, and whether it exists.
    ends: Vec<(usize, bool)>,
}

impl Known {
    /// Keeps what fits into `limit` bytes.
    pub(super) fn add<'a>(&self, keys: impl Iterator<Item = (&'a [u8], bool)>, limit: usize) {
        let mut known = self.keys.lock();
        for (key, exists) in keys {
            if known.bytes.len() + key.len() + known.ends.len() * size_of::<(usize, bool)>() > limit {
                return;
            }
            known.bytes.extend_from_slice(key);
            let end = known.bytes.len();
            known.ends.push((end, exists));
        }
    }

    /// Tells the changes, and forgets.
    pub(super) fn tell(&mut self, changes: &mut Changes) {
        let KnownKeys { bytes, ends } = std::mem::take(self.keys.get_mut());
        let mut start = 0;
        changes.exist(ends.into_iter().map(|(end, exists)| {
            let key = bytes.get(start..end).unwrap_or_default();
            start = end;
            (key, exists)
        }));
    }

    pub(super) fn clear(&mut self) {
        *self.keys.get_mut() = KnownKeys::default();
    }

    pub(super) fn bytes(&self) -> usize {
        let known = self.keys.lock();
        known.bytes.capacity() + known.ends.capacity() * size_of::<(usize, bool)>()
    }
}
