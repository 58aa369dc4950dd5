//! Kafka writes a UUID as 22 characters of URL-safe base64 without padding.

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARACTERS: usize = 22;
/// 22 characters hold 132 bits; the last four are zero.
const SPARE_BITS: u32 = 4;

/// A random id that does not begin with a dash, so that command lines can name it.
pub fn random() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !format(id).starts_with('-') {
            return id;
        }
    }
}

pub fn format(id: Uuid) -> String {
    let bits = id.as_u128();
    let sextet = |place: usize| match place {
        0 => bits << SPARE_BITS & 0x3f,
        _ => bits >> (6 * place as u32 - SPARE_BITS) & 0x3f,
    };
    (0..CHARACTERS).rev().map(|place| char::from(ALPHABET[sextet(place) as usize])).collect()
}

pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() != CHARACTERS {
        return None;
    }
    let mut bits = 0_u128;
    for (place, character) in text.bytes().enumerate() {
        let sextet = ALPHABET.iter().position(|&known| known == character)? as u128;
        bits = match place {
            21 if sextet.trailing_zeros() >= SPARE_BITS => bits << 2 | sextet >> SPARE_BITS,
            21 => return None,
            _ => bits << 6 | sextet,
        };
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_ids_are_written_as_kafka_does() {
        assert_eq!(format(Uuid::from_u128(0)), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(format(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(format(Uuid::from_u128(u128::MAX)), "_____________________w");
        assert_eq!(parse("_____________________x"), None);
        assert_eq!(parse("short"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits: u128) {
            prop_assert_eq!(parse(&format(Uuid::from_u128(bits))), Some(Uuid::from_u128(bits)));
        }
    }
}
