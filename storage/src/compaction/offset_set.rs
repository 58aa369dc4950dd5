//! Some offsets of a range, a bit each.

use std::ops::Range;

/// Of a longer range no set is made: it would take more memory than it saves time.
const MAX_BYTES: u64 = 8 << 20;

pub(crate) struct OffsetSet {
    range: Range<i64>,
    bits: Vec<u64>,
}

impl OffsetSet {
    /// `None` when the range is too long.
    pub(crate) fn of(range: Range<i64>, offsets: impl Iterator<Item = i64>) -> Option<OffsetSet> {
        let len = u64::try_from(range.end.checked_sub(range.start)?).unwrap_or(0);
        if len / 8 > MAX_BYTES {
            return None;
        }
        let mut set = OffsetSet { range, bits: vec![0; len.div_ceil(64) as usize] };
        for offset in offsets {
            if let Some((word, bit)) = set.place(offset) {
                set.bits[word] |= bit;
            }
        }
        Some(set)
    }

    /// `None` for an offset outside the range.
    pub(crate) fn contains(&self, offset: i64) -> Option<bool> {
        self.place(offset).map(|(word, bit)| self.bits[word] & bit != 0)
    }

    fn place(&self, offset: i64) -> Option<(usize, u64)> {
        if !self.range.contains(&offset) {
            return None;
        }
        let at = (offset - self.range.start) as u64;
        Some(((at / 64) as usize, 1 << (at % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_found_again() {
        let set = OffsetSet::of(100..300, [100, 163, 164, 299, 99, 300].into_iter()).unwrap();
        let found: Vec<i64> = (0..400).filter(|&offset| set.contains(offset) == Some(true)).collect();
        assert_eq!(found, [100, 163, 164, 299]);
        assert_eq!((set.contains(99), set.contains(101), set.contains(300)), (None, Some(false), None));
    }

    #[test]
    fn a_range_that_is_empty_or_too_long_takes_no_memory() {
        assert_eq!(OffsetSet::of(5..5, [5].into_iter()).unwrap().contains(5), None);
        assert!(OffsetSet::of(0..i64::MAX, std::iter::empty()).is_none());
    }
}
