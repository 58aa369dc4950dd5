//! Batches through the builder, the view and the mutators.

use ottla_protocol::Compression;
use ottla_protocol::batch::{
    BatchBuilder, BatchError, RecordBatch, RecordFault, TimestampType, batches, set_base_offset,
    set_header_timestamp, set_leader_epoch,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Field = Option<Vec<u8>>;

#[derive(Debug, Clone)]
struct Sample {
    timestamp: i64,
    key: Field,
    value: Field,
    headers: Vec<(Vec<u8>, Field)>,
}

proptest! {
    #[test]
    fn records_come_back_through_every_codec(samples in vec(sample(), 1..40), codec in codec()) {
        let bytes = build(BatchBuilder::new(codec).with_base_offset(100), &samples);
        let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
        prop_assert!(rest.is_empty());
        let summary = batch.validate(1 << 20).unwrap();
        let records = batch.records(1 << 20).unwrap();
        prop_assert_eq!(summary.max_timestamp, samples.iter().map(|sample| sample.timestamp).max().unwrap());
        prop_assert_eq!(summary.has_null_key, samples.iter().any(|sample| sample.key.is_none()));
        prop_assert_eq!(batch.header().max_timestamp, summary.max_timestamp);
        for (i, (record, sample)) in records.iter().zip(&samples).enumerate() {
            let record = record.unwrap();
            prop_assert_eq!(record.offset, 100 + i as i64);
            prop_assert_eq!(record.timestamp, sample.timestamp);
            prop_assert_eq!(record.key, sample.key.as_deref());
            prop_assert_eq!(record.value, sample.value.as_deref());
            let headers: Vec<_> = record.headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &sample.headers);
        }
        prop_assert_eq!(records.iter().count(), samples.len());
    }

    #[test]
    fn a_flipped_bit_under_the_crc_is_noticed(samples in vec(sample(), 1..5), at: prop::sample::Index, bit in 0..8u8) {
        let mut bytes = build(BatchBuilder::new(Compression::None), &samples);
        let at = 21 + at.index(bytes.len() - 21);
        bytes[at] ^= 1 << bit;
        let (batch, _) = RecordBatch::parse(&bytes).unwrap();
        let noticed = matches!(batch.validate(1 << 20), Err(BatchError::CrcMismatch { .. }));
        prop_assert!(noticed);
    }
}

#[test]
fn the_broker_s_fields_leave_the_crc_right() {
    let mut bytes = build(BatchBuilder::new(Compression::Lz4), &[plain(7), plain(9)]);
    set_base_offset(&mut bytes, 42);
    set_leader_epoch(&mut bytes, 3);
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!((batch.base_offset(), batch.last_offset(), batch.header().leader_epoch), (42, 43, 3));

    let (header, body) = bytes.split_first_chunk_mut().unwrap();
    set_header_timestamp(header, body, TimestampType::LogAppendTime, 1000);
    let (batch, _) = RecordBatch::parse(&bytes).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
    let records = batch.records(1000).unwrap();
    assert!(records.iter().all(|record| record.unwrap().timestamp == 1000));
}

#[test]
fn batches_end_at_the_first_that_is_cut() {
    let one = build(BatchBuilder::new(Compression::None), &[plain(1)]);
    let mut bytes = [&one[..], &one[..]].concat();
    assert_eq!(batches(&bytes).filter(Result::is_ok).count(), 2);
    bytes.pop();
    let results: Vec<_> = batches(&bytes).collect();
    assert_eq!(results.len(), 2);
    assert!(matches!(results[1], Err(BatchError::Cut { .. })));
}

#[test]
fn counts_lengths_and_magic_are_checked() {
    let sound = build(BatchBuilder::new(Compression::None), &[plain(1), plain(2)]);
    let damaged = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] = byte;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let (batch, _) = RecordBatch::parse(&bytes)?;
        batch.validate(1 << 20)
    };
    assert!(damaged(60, 2).is_ok());
    assert_eq!(damaged(16, 1), Err(BatchError::UnsupportedMagic { magic: 1 }));
    assert_eq!(damaged(11, 48), Err(BatchError::LengthTooSmall { base_offset: 0, claimed: 48 }));
    assert!(matches!(damaged(11, 255), Err(BatchError::Cut { .. })));
    assert!(matches!(damaged(60, 0), Err(BatchError::CountMismatch { count: 0, .. })));
    assert!(matches!(damaged(60, 3), Err(BatchError::CountMismatch { count: 3, .. })));
    assert!(matches!(damaged(22, 7), Err(BatchError::UnknownCodec { codec: 7, .. })));
    let second_offset_delta = sound.len() - 5;
    let fault = RecordFault::OffsetDelta;
    assert_eq!(damaged(second_offset_delta, 4), Err(BatchError::Record { base_offset: 0, index: 1, fault }));
}

fn plain(timestamp: i64) -> Sample {
    Sample { timestamp, key: None, value: Some(vec![b'v']), headers: Vec::new() }
}

fn build(mut builder: BatchBuilder, samples: &[Sample]) -> Vec<u8> {
    for sample in samples {
        let headers: Vec<_> =
            sample.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        let (key, value) = (sample.key.as_deref(), sample.value.as_deref());
        builder.push_with_headers(sample.timestamp, key, value, &headers).unwrap();
    }
    builder.build().unwrap().to_vec()
}

fn sample() -> impl Strategy<Value = Sample> {
    let field = || option::of(vec(any::<u8>(), 0..200));
    let headers = vec((vec(any::<u8>(), 0..20), field()), 0..3);
    (0..1_i64 << 42, field(), field(), headers).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers,
    })
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}
