//! Says of most keys that are not in a run that they are not: a Bloom filter whose bits of one key share a cache line.

use siphasher::sip::SipHasher13;

const WORDS: usize = 8;
const LINE_BITS: u64 = 512;
const BITS_PER_KEY: u64 = 10;
const PROBES: u32 = 6;
const LINE_BYTES: usize = WORDS * size_of::<u64>();

/// The number of lines is a power of two, so that a filter that became too large folds.
#[derive(Debug)]
pub(super) struct Filter {
    lines: Vec<[u64; WORDS]>,
}

/// A key's hash, the same in every run and in every process.
pub(super) fn hash(key: &[u8]) -> u64 {
    SipHasher13::new().hash(key)
}

impl Filter {
    /// For at most so many keys.
    pub(super) fn for_keys(keys: u64) -> Filter {
        let lines = keys.saturating_mul(BITS_PER_KEY).div_ceil(LINE_BITS).next_power_of_two();
        Filter { lines: vec![[0; WORDS]; usize::try_from(lines).unwrap_or(1)] }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let line = line_of(hash, self.lines.len());
        let Some(line) = self.lines.get_mut(line) else { return };
        for (word, bit) in bits(hash) {
            if let Some(word) = line.get_mut(word) {
                *word |= bit;
            }
        }
    }

    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let line = self.lines.get(line_of(hash, self.lines.len()));
        line.is_some_and(|line| {
            bits(hash).all(|(word, bit)| line.get(word).is_some_and(|word| word & bit != 0))
        })
    }

    /// Makes it as small as so many keys need it.
    pub(super) fn fold(&mut self, keys: u64) {
        let needed = Filter::for_keys(keys).lines.len();
        while self.lines.len() > needed {
            let upper = self.lines.split_off(self.lines.len() / 2);
            for (line, upper) in self.lines.iter_mut().zip(upper) {
                line.iter_mut().zip(upper).for_each(|(word, upper)| *word |= upper);
            }
        }
        self.lines.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.lines.iter().flatten().flat_map(|word| word.to_le_bytes()));
    }

    /// `None` if no filter is written so.
    pub(super) fn read(bytes: &[u8]) -> Option<Filter> {
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        if !rest.is_empty() || !lines.len().is_power_of_two() {
            return None;
        }
        let line = |bytes: &[u8; LINE_BYTES]| {
            let mut line = [0; WORDS];
            let words = bytes.as_chunks::<8>().0;
            line.iter_mut().zip(words).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
            line
        };
        Some(Filter { lines: lines.iter().map(line).collect() })
    }
}

/// The lower bits, so that half the filter is found by one bit less.
fn line_of(hash: u64, lines: usize) -> usize {
    usize::try_from(hash & (lines as u64).wrapping_sub(1)).unwrap_or(0)
}

fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    // Spreads the hash over the upper bits, which the line's number does not say.
    let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..PROBES).map(move |probe| {
        let bit = (spread >> (10 + 9 * probe)) % LINE_BITS;
        ((bit / 64) as usize, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys_folded_and_read_back_and_few_others() {
        let keys = |from: u32| (from..from + 10_000).map(|key| hash(&key.to_be_bytes()));
        let mut filter = Filter::for_keys(60_000);
        keys(0).for_each(|key| filter.insert(key));
        filter.fold(10_000);
        assert_eq!(filter.bytes(), 16_384);
        let mut bytes = Vec::new();
        filter.write(&mut bytes);
        let filter = Filter::read(&bytes).unwrap();
        assert!(keys(0).all(|key| filter.may_contain(key)));
        let wrong = keys(1_000_000).filter(|key| filter.may_contain(*key)).count();
        assert!(wrong < 200, "{wrong} of 10,000");
        assert!(Filter::read(&bytes[1..]).is_none());
    }
}
