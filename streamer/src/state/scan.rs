//! The rows of a range, in the order of their keys.

use std::ops::Bound;

use bytes::Bytes;
use parking_lot::Mutex;

use super::StateError;
use super::merged::Merged;

/// Dead entries in a row that make a gap worth remembering.
const GAP_ENTRIES: u32 = 32;

/// The rows of a range that are alive. It reads the blocks as it comes to them.
#[derive(Debug)]
pub struct Scan<'a> {
    merged: Option<Merged<'a>>,
    failed: Option<StateError>,
    to: Bound<Bytes>,
    /// What the scan learns until its first row.
    ahead: Option<Ahead<'a>>,
}

/// The dead entries between a scan's beginning and its first row.
#[derive(Debug)]
struct Ahead<'a> {
    from: Bytes,
    dead: u32,
    gap: &'a Gap,
}

/// A part of the keys that is known to have none alive. What the watermark is done with lies together at the front:
/// without this, each batch would walk over all that earlier ones have evicted.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// From the first key to before the second.
    keys: Mutex<Option<(Bytes, Bytes)>>,
}

impl<'a> Scan<'a> {
    /// `from` is where the entries begin, and `gap` what it may tell of the keys from there on.
    pub(super) fn new(merged: Merged<'a>, to: Bound<Bytes>, from: Bytes, gap: Option<&'a Gap>) -> Scan<'a> {
        let ahead = gap.map(|gap| Ahead { from, dead: 0, gap });
        Scan { merged: Some(merged), failed: None, to, ahead }
    }

    /// Says nothing but what went wrong.
    pub(super) fn failed(error: StateError) -> Scan<'a> {
        Scan { merged: None, failed: Some(error), to: Bound::Unbounded, ahead: None }
    }

    fn next_row(&mut self) -> Result<Option<(Bytes, Bytes)>, StateError> {
        let Some(merged) = &mut self.merged else {
            return self.failed.take().map_or(Ok(None), Err);
        };
        while let Some((key, value)) = merged.next()? {
            let is_in = match &self.to {
                Bound::Unbounded => true,
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
            };
            if is_in && value.is_none() {
                self.ahead.iter_mut().for_each(|ahead| ahead.dead += 1);
                continue;
            }
            if let Some(Ahead { from, dead, gap }) = self.ahead.take() {
                gap.learn(&from, &key, dead);
            }
            return Ok(value.filter(|_| is_in).map(|value| (key, value)));
        }
        Ok(None)
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Bytes, Bytes), StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row();
        if !matches!(row, Ok(Some(_))) {
            self.merged = None;
        }
        row.transpose()
    }
}

impl Gap {
    /// Where a scan that begins at the key can begin as well.
    pub(super) fn skip(&self, key: &[u8]) -> Option<Bytes> {
        let keys = self.keys.lock();
        let (from, to) = keys.as_ref()?;
        (from <= key && key < to).then(|| to.clone())
    }

    fn learn(&self, from: &Bytes, to: &Bytes, dead: u32) {
        let mut keys = self.keys.lock();
        match &mut *keys {
            // It begins where the gap ends.
            Some((_, end)) if end == from => *end = to.clone(),
            _ if dead >= GAP_ENTRIES => *keys = Some((from.clone(), to.clone())),
            _ => {}
        }
    }

    /// The key is alive from now on.
    pub(super) fn fill(&mut self, key: &[u8]) {
        if let Some((from, to)) = self.keys.get_mut()
            && (&**from..&**to).contains(&key)
        {
            *to = Bytes::copy_from_slice(key);
        }
    }

    pub(super) fn clear(&mut self) {
        *self.keys.get_mut() = None;
    }
}
