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
}

#[derive(Clone, Debug)]
pub(super) struct Changed {
    /// `None` if the key is gone.
    pub(super) value: Option<Bytes>,
    /// Whether the runs have the key alive, once that is known.
    pub(super) existed: Option<bool>,
}

impl Changes {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Changed> {
        self.entries.get(key)
    }

    /// `existed` is for a key that has not changed before.
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>, existed: Option<bool>) {
        let value = value.map(|value| self.copy(value));
        if let Some(changed) = self.entries.get_mut(key) {
            changed.value = value;
            return;
        }
        let key = self.copy(key);
        self.bytes += OVERHEAD_BYTES;
        self.entries.insert(key, Changed { value, existed });
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        self.bytes += bytes.len();
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    pub(super) fn exists(&mut self, key: &[u8], existed: bool) {
        if let Some(changed) = self.entries.get_mut(key) {
            changed.existed = changed.existed.or(Some(existed));
        }
    }

    /// The keys of which it is not known whether the runs have them.
    pub(super) fn unknown(&self) -> Vec<Bytes> {
        let unknown = self.entries.iter().filter(|(_, changed)| changed.existed.is_none());
        unknown.map(|(key, _)| key.clone()).collect()
    }

    /// The rows that the runs do not have, among keys of which that is known.
    pub(super) fn added(&self) -> u64 {
        self.entries
            .values()
            .filter(|changed| changed.existed == Some(false) && changed.value.is_some())
            .count() as u64
    }

    /// The rows of the runs that are gone.
    pub(super) fn removed(&self) -> u64 {
        self.entries
            .values()
            .filter(|changed| changed.existed == Some(true) && changed.value.is_none())
            .count() as u64
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
        for (end, exists) in ends {
            changes.exists(bytes.get(start..end).unwrap_or_default(), exists);
            start = end;
        }
    }

    pub(super) fn clear(&mut self) {
        *self.keys.get_mut() = KnownKeys::default();
    }

    pub(super) fn bytes(&self) -> usize {
        let known = self.keys.lock();
        known.bytes.capacity() + known.ends.capacity() * size_of::<(usize, bool)>()
    }
}
