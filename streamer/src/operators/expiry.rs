//! Keys of a state store by which that is found which the watermark has passed: a kind, then a time that sorts.

use std::ops::Range;

use datafusion::error::{DataFusionError, Result};

/// Bytes of the kind and the time.
const HEAD: usize = 9;

/// Bytes that sort as the times do.
fn sortable(time_us: i64) -> [u8; 8] {
    (time_us.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Makes `buffer` the key of what ends at `end_us` and is called `name`.
pub(super) fn write_key(buffer: &mut Vec<u8>, kind: u8, end_us: i64, name: &[u8]) {
    buffer.clear();
    buffer.push(kind);
    buffer.extend_from_slice(&sortable(end_us));
    buffer.extend_from_slice(name);
}

/// The keys of what has ended at `until_us`.
pub(super) fn passed(kind: u8, until_us: i64) -> Range<Vec<u8>> {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    write_key(&mut from, kind, i64::MIN, &[]);
    match until_us.checked_add(1) {
        Some(next) => write_key(&mut to, kind, next, &[]),
        None => to.push(kind.saturating_add(1)),
    }
    from..to
}

/// What a key is the key of.
pub(super) fn name_in(key: &[u8]) -> Result<&[u8]> {
    key.get(HEAD..).ok_or_else(|| DataFusionError::Internal("a key of the state is too short".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_up_to_a_time_are_in_its_range_and_later_ones_are_not() {
        let key = |end_us: i64| {
            let mut key = Vec::new();
            write_key(&mut key, b'l', end_us, b"name");
            key
        };
        let passed = passed(b'l', 1_000);
        for end_us in [i64::MIN, -1, 0, 999, 1_000] {
            assert!(passed.contains(&key(end_us)), "{end_us}");
        }
        assert!(!passed.contains(&key(1_001)));
        assert_eq!(name_in(&key(7)).unwrap(), b"name");
    }

    #[test]
    fn nothing_ends_after_the_end_of_time() {
        let mut last = Vec::new();
        write_key(&mut last, b'l', i64::MAX, b"name");
        assert!(passed(b'l', i64::MAX).contains(&last));
    }
}
