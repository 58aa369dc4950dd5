//! The ends of JSON strings, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand before the first quote, backslash or control character.
pub(super) fn plain_run(bytes: &[u8], quote: u8) -> usize {
    let (chunks, tail) = bytes.as_chunks::<8>();
    let quotes = u64::from(quote) * ONES;
    let mut length = 0;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let special = zeros(word ^ quotes) | zeros(word ^ (u64::from(b'\\') * ONES)) | controls(word);
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_special = |byte: &u8| *byte == quote || *byte == b'\\' || *byte < b' ';
    length + tail.iter().position(is_special).unwrap_or(tail.len())
}

/// Marks bytes that are zero. Above the lowest mark there may be false ones; the lowest is true.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Marks bytes below a space, as [`zeros`] does.
fn controls(word: u64) -> u64 {
    word.wrapping_sub(u64::from(b' ') * ONES) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_walk_over_the_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40), quote in prop::sample::select(vec![b'"', b'\''])) {
            let walked = bytes.iter().position(|byte| *byte == quote || *byte == b'\\' || *byte < b' ');
            prop_assert_eq!(plain_run(&bytes, quote), walked.unwrap_or(bytes.len()));
        }
    }
}
