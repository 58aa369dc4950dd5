use std::ops::ControlFlow;

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{AppendOrigin, CompactionPolicy, CompactionRequest, Isolation, LogStart};

use crate::fixture::{Abort, Batch, Commit, Fixture, aborted, context, in_transaction, marker, plain};

const DELETE_RETENTION_MS: i64 = 1000;
/// Of the producer that fills segments.
const FILLER: i64 = 9;

/// A record with a key.
fn keyed(batch: &Batch, key: &str) -> Bytes {
    let mut builder =
        BatchBuilder::new(Compression::None).with_producer(batch.id, batch.epoch, batch.base_sequence);
    if batch.transactional {
        builder = builder.transactional();
    }
    builder.push(batch.timestamp, Some(key.as_bytes()), Some(b"value")).unwrap();
    builder.build().unwrap()
}

impl Fixture {
    fn append_keyed(&self, batch: Batch, key: &str) -> i64 {
        let guard = if batch.transactional { self.verify(batch).unwrap() } else { None };
        let context = context(AppendOrigin::Client, guard);
        self.log().append(&keyed(&batch, key), &context).unwrap().base_offset
    }

    /// Ends the active segment, so that what was appended before can be compacted.
    fn fill(&self, base_sequence: i32) {
        for sequence in base_sequence..base_sequence + 8 {
            self.append_keyed(plain(FILLER, 0, sequence, 1), "filler");
        }
    }

    fn compact(&self, now_ms: i64) {
        let policy =
            CompactionPolicy { delete_retention_ms: DELETE_RETENTION_MS, ..CompactionPolicy::default() };
        let pace = &|_| ControlFlow::Continue(());
        self.log().compact(&CompactionRequest { policy, now_ms, max_map_bytes: 1 << 20, pace }).unwrap();
    }

    /// Base offset and number of records of each batch that is not the filler's.
    fn left(&self) -> Vec<(i64, i32)> {
        let mut left = Vec::new();
        let mut offset = 0;
        while offset < self.log().end_offset() {
            let records = self.read(offset, Isolation::ReadUncommitted).records;
            for batch in batch::batches(&records) {
                let header = *batch.unwrap().header();
                offset = header.next_offset();
                if header.producer_id != FILLER {
                    left.push((header.base_offset, header.records_count));
                }
            }
        }
        left
    }
}

#[test]
fn aborted_records_go_first_and_their_marker_when_its_horizon_is_past() {
    let mut fixture = Fixture::with_small_segments();
    assert_eq!(fixture.append_keyed(in_transaction(1, 0, 0, 1), "key"), 0);
    fixture.end(marker(1, 1, Commit)).unwrap();
    assert_eq!(fixture.append_keyed(in_transaction(2, 0, 0, 1), "key"), 2);
    fixture.end(marker(2, 1, Abort)).unwrap();
    fixture.fill(0);

    // The committed record stays although an aborted one has its key.
    fixture.compact(0);
    assert_eq!(fixture.left(), [(0, 1), (1, 1), (3, 1)]);
    assert_eq!(fixture.read_committed(0).aborted, [aborted(2, 2)]);
    // Nothing of the transaction is left, so that its marker may go, in a while.
    fixture.fill(8);
    fixture.compact(10);
    assert_eq!(fixture.left(), [(0, 1), (1, 1), (3, 1)]);
    assert_eq!(fixture.read_committed(0).aborted, []);
    fixture.fill(16);
    fixture.compact(10 + DELETE_RETENTION_MS);
    assert_eq!(fixture.left(), [(0, 1), (1, 1), (3, 0)], "its epoch is the producer's");

    fixture.stop();
    assert_eq!(fixture.open(LogStart::Unclean { recovery_point: 0 }).truncation, None);
    assert_eq!(fixture.stable(), fixture.log().end_offset());
    fixture.log().expire_producers(i64::MAX, 0);
    fixture.fill(24);
    fixture.compact(20 + DELETE_RETENTION_MS);
    assert_eq!(fixture.left(), [(0, 1), (1, 1)]);
}

#[test]
fn an_open_transaction_is_not_compacted() {
    let fixture = Fixture::with_small_segments();
    fixture.append_keyed(plain(1, 0, 0, 1), "key");
    fixture.append_keyed(plain(1, 0, 1, 1), "key");
    fixture.fill(0);
    let first_offset = fixture.append_keyed(in_transaction(2, 0, 0, 1), "key");
    fixture.fill(8);
    fixture.compact(0);
    assert_eq!(fixture.left(), [(1, 1), (first_offset, 1)]);
    fixture.end(marker(2, 1, Commit)).unwrap();
    fixture.fill(16);
    fixture.compact(0);
    assert_eq!(fixture.left(), [(1, 0), (first_offset, 1), (first_offset + 9, 1)]);
}
