//! Batches against bytes that the producer's classes of Kafka 4.3.1 produced: the same three records in each codec.

use ottla_protocol::Compression;
use ottla_protocol::batch::{BatchBuilder, Record, RecordBatch};

const BASE_TIMESTAMP: i64 = 1_700_000_000_000;

const NONE: &str = concat!(
    "0000000000000064000000800000000702f0d017860000000000020000018bcfe568000000018bcfe568020000000000000f",
    "a000030000001100000003500000000a6b65792d302676616c75652076616c75652076616c756520300402680278086e756c",
    "6c0132000202012676616c75652076616c75652076616c7565203100160004040a6b65792d320100",
);
const GZIP: &str = concat!(
    "00000000000000640000007600000007022a6a7d3d0001000000020000018bcfe568000000018bcfe568020000000000000f",
    "a0000300000011000000031f8b08000000000000ff0b606060e0ca4eadd435502b4bcc294d5540260d589832982a38f24a73",
    "72188d18989818b1a8316410636061011b61c4c80000d6c5d46f4f000000",
);
const SNAPPY: &str = concat!(
    "00000000000000640000007f0000000702b1b1c8050002000000020000018bcfe568000000018bcfe568020000000000000f",
    "a00003000000110000000382534e415050590000000001000000010000003a4f40500000000a6b65792d302676616c756520",
    "2e060040300402680278086e756c6c0132000202014a2400343100160004040a6b65792d320100",
);
const LZ4: &str = concat!(
    "00000000000000640000007a00000007022f5fc4f20003000000020000018bcfe568000000018bcfe568020000000000000f",
    "a00003000000110000000304224d186040823a000000f802500000000a6b65792d302676616c7565200600ff023004026802",
    "78086e756c6c013200020201240000e03100160004040a6b65792d32010000000000",
);
const ZSTD: &str = concat!(
    "00000000000000640000007700000007025001f4dd0004000000020000018bcfe568000000018bcfe568020000000000000f",
    "a00003000000110000000328b52ffd0058d401000403500000000a6b65792d302676616c756520300402680278086e756c6c",
    "0132000202013100160004040a6b65792d32010002008f4ad6706509010000",
);

#[test]
fn batches_of_kafka_are_read_in_every_codec() {
    for (codec, digits) in Compression::ALL.into_iter().zip([NONE, GZIP, SNAPPY, LZ4, ZSTD]) {
        let bytes = hex(digits);
        let (batch, rest) = RecordBatch::parse(&bytes).unwrap();
        assert!(rest.is_empty());
        batch.validate(1 << 20).unwrap();
        let header = batch.header();
        assert_eq!(header.compression(), Ok(codec));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (4000, 3, 17));
        assert_eq!((batch.base_offset(), batch.last_offset(), header.last_sequence()), (100, 102, 19));
        assert_eq!((header.leader_epoch, header.max_timestamp), (7, BASE_TIMESTAMP + 2));

        let records = batch.records(1000).unwrap();
        records.check().unwrap();
        let records: Vec<_> = records.iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 3, "{codec}");
        check_fields(&records[0], 0, Some("key-0"), Some("value value value 0"));
        check_fields(&records[1], 1, None, Some("value value value 1"));
        check_fields(&records[2], 2, Some("key-2"), None);
        let headers: Vec<_> = records[0].headers.map(|header| (header.key, header.value)).collect();
        assert_eq!(headers, [(&b"h"[..], Some(&b"x"[..])), (b"null", None)]);
        assert!(records[1].headers.is_empty());
    }
}

#[test]
fn the_builder_writes_the_bytes_that_kafka_writes() {
    let mut builder = BatchBuilder::new(Compression::None)
        .with_base_offset(100)
        .with_leader_epoch(7)
        .with_producer(4000, 3, 17);
    let headers: [(&[u8], _); 2] = [(b"h", Some(&b"x"[..])), (b"null", None)];
    let (key, value) = (Some(&b"key-0"[..]), Some(&b"value value value 0"[..]));
    builder.push_with_headers(BASE_TIMESTAMP, key, value, &headers).unwrap();
    builder.push(BASE_TIMESTAMP + 1, None, Some(b"value value value 1")).unwrap();
    builder.push(BASE_TIMESTAMP + 2, Some(b"key-2"), None).unwrap();
    assert_eq!(builder.build().unwrap(), hex(NONE));
}

fn check_fields(record: &Record<'_>, index: i64, key: Option<&str>, value: Option<&str>) {
    assert_eq!((record.offset, record.timestamp), (100 + index, BASE_TIMESTAMP + index));
    assert_eq!((record.key, record.value), (key.map(str::as_bytes), value.map(str::as_bytes)));
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
