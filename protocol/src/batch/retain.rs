//! Taking records out of a batch, as compaction does. Offsets, base offset and last offset stay; a batch that keeps all
//! of its records stays byte for byte.

use super::header::{
    ATTRIBUTES_AT, BASE_TIMESTAMP_AT, CODEC_MASK, COUNT_AT, DELETE_HORIZON_FLAG, HEADER_BYTES, LENGTH_AT,
    LOG_OVERHEAD_BYTES, MAX_TIMESTAMP_AT,
};
use super::mutate::{put, seal};
use super::records::RawRecord;
use super::{BatchError, Record, RecordBatch, RecordFault, Records};
use crate::compression::{self, Compression};
use crate::{NO_TIMESTAMP, varint};

/// Which batches get a delete horizon (KIP-534), from which time on their tombstones and markers may go. A batch that
/// has one keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HorizonFor {
    /// Those that keep a record without a value.
    Tombstones,
    /// Every one that keeps a record.
    AnyRecord,
}

/// What is left of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// The batch as it was.
    AsItWas,
    /// Another batch in its place, with so many records.
    Rewritten { records: u32 },
    /// No record, and nothing was written.
    Nothing,
}

/// Writes batches without some of their records. Its buffers serve one batch after the other, so that a record costs no
/// allocation.
#[derive(Debug, Default)]
pub struct BatchRewriter {
    kept: Vec<u8>,
    shifted: Vec<u8>,
}

/// What a walk over the records came to.
struct Walk {
    kept: u32,
    has_dropped: bool,
    has_tombstone: bool,
    max_timestamp: i64,
}

impl BatchRewriter {
    /// Appends to `out` the batch with those records for which `keep` holds. `records` are the batch's own; a
    /// compressed batch is compressed again with its codec.
    pub fn retain(
        &mut self,
        batch: &RecordBatch<'_>,
        records: &Records<'_>,
        keep: impl FnMut(&Record<'_>) -> bool,
        (horizon_for, horizon_ms): (HorizonFor, i64),
        out: &mut Vec<u8>,
    ) -> Result<Retained, BatchError> {
        let walk = self.walk(records, keep)?;
        if walk.kept == 0 {
            return Ok(Retained::Nothing);
        }
        let wants_horizon = walk.has_tombstone || horizon_for == HorizonFor::AnyRecord;
        let horizon_ms = (wants_horizon && !batch.header().has_delete_horizon()).then_some(horizon_ms);
        if !walk.has_dropped && horizon_ms.is_none() {
            out.extend_from_slice(batch.bytes());
            return Ok(Retained::AsItWas);
        }
        let kept = if walk.has_dropped { self.kept.as_slice() } else { records.as_bytes() };
        let body = match horizon_ms {
            None => kept,
            Some(horizon_ms) => {
                self.shifted.clear();
                let by = batch.header().base_timestamp.wrapping_sub(horizon_ms);
                shift_timestamps(kept, by, &mut self.shifted).map_err(|fault| BatchError::Record {
                    base_offset: batch.base_offset(),
                    index: 0,
                    fault,
                })?;
                self.shifted.as_slice()
            }
        };
        let start = out.len();
        out.extend_from_slice(&batch.bytes()[..HEADER_BYTES]);
        match batch.header().compression()? {
            Compression::None => out.extend_from_slice(body),
            codec => out.extend_from_slice(&compression::compress(codec, body)),
        }
        fill_header(&mut out[start..], batch, &walk, horizon_ms);
        Ok(Retained::Rewritten { records: walk.kept })
    }

    /// Copies what is kept, as soon as something is not.
    fn walk(
        &mut self,
        records: &Records<'_>,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Walk, BatchError> {
        self.kept.clear();
        let all = records.as_bytes();
        let mut walk =
            Walk { kept: 0, has_dropped: false, has_tombstone: false, max_timestamp: NO_TIMESTAMP };
        let mut start = 0;
        let mut iter = records.iter();
        while let Some(record) = iter.next() {
            let record = record?;
            let end = all.len() - iter.left_bytes();
            if keep(&record) {
                walk.kept += 1;
                walk.has_tombstone |= record.value.is_none();
                walk.max_timestamp = walk.max_timestamp.max(record.timestamp);
                if walk.has_dropped {
                    self.kept.extend_from_slice(&all[start..end]);
                }
            } else if !walk.has_dropped {
                walk.has_dropped = true;
                self.kept.extend_from_slice(&all[..start]);
            }
            start = end;
        }
        Ok(walk)
    }
}

/// Appends the header of a batch that has lost all of its records: it says up to which offset, and sequence, its
/// producer has come.
pub fn put_empty_batch(batch: &RecordBatch<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&batch.bytes()[..HEADER_BYTES]);
    let header = &mut out[start..];
    let attributes = batch.header().attributes & !(CODEC_MASK | DELETE_HORIZON_FLAG);
    put(header, LENGTH_AT, ((HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32).to_be_bytes());
    put(header, ATTRIBUTES_AT, attributes.to_be_bytes());
    put(header, BASE_TIMESTAMP_AT, NO_TIMESTAMP.to_be_bytes());
    put(header, COUNT_AT, 0_i32.to_be_bytes());
    seal(header);
}

/// The records with `by` added to each timestamp delta.
fn shift_timestamps(mut records: &[u8], by: i64, out: &mut Vec<u8>) -> Result<(), RecordFault> {
    out.reserve(records.len());
    while !records.is_empty() {
        let (attributes, timestamp_delta, rest) = RawRecord::split_timestamp(&mut records)?;
        let timestamp_delta = timestamp_delta.wrapping_add(by);
        let size_bytes = 1 + varint::size_i64(timestamp_delta) + rest.len();
        varint::put_i32(out, i32::try_from(size_bytes).map_err(|_| RecordFault::Overlong)?);
        out.push(attributes);
        varint::put_i64(out, timestamp_delta);
        out.extend_from_slice(rest);
    }
    Ok(())
}

fn fill_header(rewritten: &mut [u8], batch: &RecordBatch<'_>, walk: &Walk, horizon_ms: Option<i64>) {
    let length = (rewritten.len() - LOG_OVERHEAD_BYTES) as i32;
    put(rewritten, LENGTH_AT, length.to_be_bytes());
    if let Some(horizon_ms) = horizon_ms {
        let attributes = batch.header().attributes | DELETE_HORIZON_FLAG;
        put(rewritten, ATTRIBUTES_AT, attributes.to_be_bytes());
        put(rewritten, BASE_TIMESTAMP_AT, horizon_ms.to_be_bytes());
    }
    put(rewritten, MAX_TIMESTAMP_AT, walk.max_timestamp.to_be_bytes());
    put(rewritten, COUNT_AT, walk.kept.to_be_bytes());
    seal(rewritten);
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchHeader};
    use super::*;

    const HORIZON_MS: i64 = 1_000_000;

    /// Offsets 100 to 104; the one at 103 is a tombstone.
    fn batch(compression: Compression) -> bytes::Bytes {
        let mut batch =
            BatchBuilder::new(compression).with_base_offset(100).with_leader_epoch(4).with_producer(7, 1, 20);
        for at in 0..5_i64 {
            let key = [b'k', at as u8];
            let value = (at != 3).then_some(&b"value"[..]);
            batch.push_with_headers(500 + 10 * at, Some(&key), value, &[(b"h", Some(b"x"))]).unwrap();
        }
        batch.build().unwrap()
    }

    fn retain(bytes: &[u8], kept: &[i64], horizon_for: HorizonFor) -> (Retained, Vec<u8>) {
        let (batch, _) = RecordBatch::parse(bytes).unwrap();
        let records = batch.records(1 << 20).unwrap();
        let mut out = b"before".to_vec();
        let retained = BatchRewriter::default().retain(
            &batch,
            &records,
            |record| kept.contains(&record.offset),
            (horizon_for, HORIZON_MS),
            &mut out,
        );
        (retained.unwrap(), out.split_off(6))
    }

    fn records(bytes: &[u8]) -> Vec<(i64, i64, Option<Vec<u8>>, usize)> {
        let (batch, rest) = RecordBatch::parse(bytes).unwrap();
        assert!(rest.is_empty());
        batch.verify_crc().unwrap();
        let records = batch.records(1 << 20).unwrap();
        records
            .iter()
            .map(|record| {
                let record = record.unwrap();
                (record.offset, record.timestamp, record.value.map(<[u8]>::to_vec), record.headers.len())
            })
            .collect()
    }

    #[test]
    fn a_batch_that_keeps_everything_stays_byte_for_byte() {
        for compression in Compression::ALL {
            let before = batch(compression);
            let (without_tombstone, _) = retain(&before, &[100, 101, 102, 104], HorizonFor::Tombstones);
            assert_eq!(without_tombstone, Retained::Rewritten { records: 4 });
            let (_, once) = retain(&before, &[100, 102, 103], HorizonFor::Tombstones);
            let (retained, twice) = retain(&once, &[100, 102, 103], HorizonFor::AnyRecord);
            assert_eq!((retained, twice), (Retained::AsItWas, once));
        }
    }

    #[test]
    fn what_is_kept_keeps_offset_timestamp_and_headers() {
        for compression in Compression::ALL {
            let (retained, after) = retain(&batch(compression), &[101, 104], HorizonFor::Tombstones);
            assert_eq!(retained, Retained::Rewritten { records: 2 });
            let value = || Some(b"value".to_vec());
            assert_eq!(records(&after), [(101, 510, value(), 1), (104, 540, value(), 1)]);
            let header = BatchHeader::parse(&after).unwrap();
            assert_eq!((header.base_offset, header.last_offset(), header.last_sequence()), (100, 104, 24));
            assert_eq!((header.max_timestamp, header.leader_epoch), (540, 4));
            assert_eq!(header.compression().unwrap(), compression);
            assert!(!header.has_delete_horizon());
        }
    }

    #[test]
    fn a_tombstone_that_stays_gets_a_horizon_once() {
        for compression in Compression::ALL {
            let all = [100, 101, 102, 103, 104];
            let (retained, after) = retain(&batch(compression), &all, HorizonFor::Tombstones);
            assert_eq!(retained, Retained::Rewritten { records: 5 });
            let header = BatchHeader::parse(&after).unwrap();
            assert!(header.has_delete_horizon());
            assert_eq!((header.base_timestamp, header.max_timestamp), (HORIZON_MS, 540));
            assert_eq!(records(&after), records(&batch(compression)));
        }
    }

    #[test]
    fn an_empty_batch_says_how_far_its_producer_came() {
        for compression in Compression::ALL {
            let before = batch(compression);
            assert_eq!(retain(&before, &[], HorizonFor::AnyRecord), (Retained::Nothing, Vec::new()));
            let mut after = Vec::new();
            put_empty_batch(&RecordBatch::parse(&before).unwrap().0, &mut after);
            assert!(records(&after).is_empty());
            let header = BatchHeader::parse(&after).unwrap();
            assert_eq!((header.last_offset(), header.last_sequence(), header.records_count), (104, 24, 0));
            assert_eq!((header.producer_id, header.max_timestamp), (7, 540));
            assert_eq!(header.compression().unwrap(), Compression::None);
        }
    }
}
