//! Varints: seven bits a byte, least significant first; signed numbers are zigzag-coded so that small ones stay short.

use bytes::BufMut;

/// The longest encoding of a 32-bit number.
pub(crate) const MAX_U32_BYTES: usize = 5;
/// The longest encoding of a 64-bit number.
const MAX_U64_BYTES: usize = 10;

/// Takes an unsigned varint of up to 32 bits; `None` if it is cut short or does not fit.
#[inline]
pub(crate) fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    match take_short(bytes) {
        Some(value) => Some(value),
        None => u32::try_from(take_long(bytes, MAX_U32_BYTES)?).ok(),
    }
}

/// Takes a zigzag-coded varint of up to 32 bits.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let zigzag = take_u32(bytes)?;
    Some((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
}

/// Takes a zigzag-coded varint of up to 64 bits.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let zigzag = match take_short(bytes) {
        Some(value) => u64::from(value),
        None => take_long(bytes, MAX_U64_BYTES)?,
    };
    Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
}

/// One byte or two, which is what nearly every number in a record takes.
#[inline]
fn take_short(bytes: &mut &[u8]) -> Option<u32> {
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Some(u32::from(first))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Some(u32::from(first & 0x7f) | u32::from(second) << 7)
        }
        _ => None,
    }
}

#[cold]
fn take_long(bytes: &mut &[u8], max_bytes: usize) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(max_bytes).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * i as u32;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

pub(crate) fn put_u32(out: &mut impl BufMut, value: u32) {
    put_u64(out, u64::from(value));
}

pub(crate) fn put_i32(out: &mut impl BufMut, value: i32) {
    put_u32(out, zigzag_i32(value));
}

pub(crate) fn put_i64(out: &mut impl BufMut, value: i64) {
    put_u64(out, zigzag_i64(value));
}

pub(crate) fn size_u32(value: u32) -> usize {
    size_u64(u64::from(value))
}

pub(crate) fn size_i32(value: i32) -> usize {
    size_u32(zigzag_i32(value))
}

pub(crate) fn size_i64(value: i64) -> usize {
    size_u64(zigzag_i64(value))
}

#[inline]
fn put_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn size_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn zigzag_i32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_and_sizes_are_right(long: i64, int: i32, unsigned: u32) {
            let mut out = Vec::new();
            put_i64(&mut out, long);
            prop_assert_eq!(out.len(), size_i64(long));
            put_i32(&mut out, int);
            put_u32(&mut out, unsigned);
            prop_assert_eq!(out.len(), size_i64(long) + size_i32(int) + size_u32(unsigned));

            let mut bytes = &out[..];
            prop_assert_eq!(take_i64(&mut bytes), Some(long));
            prop_assert_eq!(take_i32(&mut bytes), Some(int));
            prop_assert_eq!(take_u32(&mut bytes), Some(unsigned));
            prop_assert!(bytes.is_empty());
        }
    }

    #[test]
    fn the_extremes_round_trip() {
        for value in [i64::MIN, i64::MAX, 0, -1, 63, 64] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(take_i64(&mut &out[..]), Some(value));
        }
    }

    #[test]
    fn overlong_and_cut_numbers_are_refused() {
        assert_eq!(take_u32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take_u32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), None);
        assert_eq!(take_u32(&mut &[0x80][..]), None);
        assert_eq!(take_i64(&mut &[0xff; 11][..]), None);
        assert_eq!(take_i64(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
    }
}
