//! The entries of the fuzz targets, driven with random bytes and with real ones that have been damaged.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is another crate's library")]
mod fuzz;

use bytes::Bytes;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::{ApiKey, FetchRequest, MetadataRequest};
use ottla_protocol::{Compression, encode_request};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn noise_is_survived(noise in vec(any::<u8>(), 0..500)) {
        fuzz::frames(&noise);
        fuzz::response(&noise);
        fuzz::batch(&noise);
        fuzz::record(&noise);
    }

    #[test]
    fn noise_behind_a_request_s_header_is_survived(key in 0..93u8, version in 0..20u8, noise in vec(any::<u8>(), 0..300)) {
        prop_assume!(ApiKey::try_from(i16::from(key)).is_ok());
        fuzz::request(&[&[0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff, 0], &noise[..]].concat());
        fuzz::response(&[&[key, version, 0, 0, 0, 1], &noise[..]].concat());
    }

    #[test]
    fn damaged_frames_are_survived(damage in damage(), portion: u8) {
        let mut stream = vec![portion];
        for version in 4..=13 {
            stream.extend(encode_request(1, Some("c"), version, FetchRequest::default()).unwrap().to_bytes());
            stream.extend(encode_request(2, None, version, MetadataRequest::default()).unwrap().to_bytes());
        }
        fuzz::frames(&damage.done_to(&stream.into()));
    }

    #[test]
    fn damaged_batches_are_survived(damage in damage(), codec in prop::sample::select(&Compression::ALL[..])) {
        let mut builder = BatchBuilder::new(codec);
        for i in 0..20 {
            let headers: [(&[u8], _); 1] = [(b"header", Some(&b"value"[..]))];
            builder.push_with_headers(i, Some(b"key"), Some(&[b'v'; 100]), &headers).unwrap();
        }
        fuzz::batch(&damage.done_to(&builder.build().unwrap()));
    }
}

/// A few bytes that are overwritten, and the place where the data is cut.
#[derive(Debug, Clone)]
struct Damage {
    overwritten: Vec<(prop::sample::Index, u8)>,
    cut_at: Option<prop::sample::Index>,
}

impl Damage {
    fn done_to(&self, bytes: &Bytes) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (at, byte) in &self.overwritten {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut_at) = &self.cut_at {
            bytes.truncate(cut_at.index(bytes.len()));
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let overwritten =
        vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0x7f), Just(0xff), any::<u8>()]), 0..4);
    let cut_at = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (overwritten, cut_at).prop_map(|(overwritten, cut_at)| Damage { overwritten, cut_at })
}
