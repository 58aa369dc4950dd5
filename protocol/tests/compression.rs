//! The codecs on data that is large, damaged or meant to exhaust the reader.

use ottla_protocol::Compression;
use ottla_protocol::compression::{DecompressError, compress, decompress};
use proptest::collection::vec;
use proptest::prelude::*;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn data_comes_back(words in vec("[a-e]{1,9} ", 0..1000)) {
        let data = words.concat().into_bytes();
        for codec in Compression::ALL {
            let compressed = compress(codec, &data);
            prop_assert_eq!(decompress(codec, &compressed, data.len()), Ok(data.clone()), "{}", codec);
        }
    }

    #[test]
    fn damaged_data_gives_an_error_or_bounded_output(data in vec(0..4u8, 1..2000), at: prop::sample::Index, byte: u8) {
        for codec in CODECS {
            let mut compressed = compress(codec, &data);
            let at = at.index(compressed.len());
            compressed[at] = byte;
            check_bounded(decompress(codec, &compressed, 4000))?;
            compressed.truncate(at);
            check_bounded(decompress(codec, &compressed, 4000))?;
        }
    }

    #[test]
    fn noise_gives_an_error_or_bounded_output(noise in vec(any::<u8>(), 0..300)) {
        for codec in CODECS {
            check_bounded(decompress(codec, &noise, 4000))?;
            let start_of_real_data = compress(codec, b"abc");
            check_bounded(decompress(codec, &[&start_of_real_data[..8], &noise].concat(), 4000))?;
        }
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 2 << 20];
    for codec in CODECS {
        let bomb = compress(codec, &zeros);
        assert!(bomb.len() < zeros.len() / 15, "{codec} makes {} bytes", bomb.len());
        let max_bytes = 1 << 18;
        assert_eq!(decompress(codec, &bomb, max_bytes), Err(DecompressError::TooLarge { codec, max_bytes }));
        assert_eq!(decompress(codec, &bomb, zeros.len()).unwrap().len(), zeros.len());
    }
}

#[test]
fn snappy_is_read_as_a_raw_block_too() {
    let raw_block = b"\x06\x14abcabc";
    assert_eq!(decompress(Compression::Snappy, raw_block, 6).unwrap(), b"abcabc");
    let lying_block = b"\xff\xff\xff\xff\x0f\x14abcabc";
    let refused = decompress(Compression::Snappy, lying_block, usize::MAX).unwrap_err();
    assert!(matches!(refused, DecompressError::Corrupt { codec: Compression::Snappy, .. }));
}

#[test]
fn names_are_those_of_compression_type() {
    for codec in Compression::ALL {
        assert_eq!(codec.name().parse(), Ok(codec));
        assert_eq!(Compression::from_codec(codec.codec()), Some(codec));
    }
    let refused = "brotli".parse::<Compression>().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "unknown compression type \"brotli\": Kafka has none, gzip, snappy, lz4 and zstd"
    );
    assert_eq!(Compression::from_codec(5), None);
}

fn check_bounded(outcome: Result<Vec<u8>, DecompressError>) -> Result<(), TestCaseError> {
    prop_assert!(outcome.map_or(0, |data| data.len()) <= 4000);
    Ok(())
}
