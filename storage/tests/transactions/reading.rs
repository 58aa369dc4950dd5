//! What a reader of committed records sees.

use ottla_storage::Isolation::{ReadCommitted, ReadUncommitted};

use crate::fixture::{Abort, Commit, Fixture, aborted, in_transaction, layout, marker, plain};

#[test]
fn a_read_of_committed_records_ends_where_the_oldest_open_transaction_begins() {
    let fixture = Fixture::new();
    fixture.append(plain(1, 0, 0, 2)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 3)).unwrap();
    fixture.append(plain(1, 0, 2, 1)).unwrap();
    let read = fixture.read_committed(0);
    assert_eq!((read.last_stable_offset, read.high_watermark), (2, 6));
    assert_eq!(layout(&read.records), [(0, 2)]);
    assert!(fixture.read_committed(2).records.is_empty());
    assert!(fixture.read_committed(6).records.is_empty(), "an offset behind it is no error");
    assert_eq!(layout(&fixture.read(0, ReadUncommitted).records), [(0, 2), (2, 3), (5, 1)]);
}

#[test]
fn the_last_stable_offset_moves_when_the_oldest_transaction_ends() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 1)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 1)).unwrap();
    assert_eq!(fixture.stable(), 0);
    fixture.end(marker(2, 1, Commit)).unwrap();
    assert_eq!(fixture.stable(), 0);
    fixture.append(in_transaction(3, 0, 0, 1)).unwrap();
    fixture.end(marker(1, 1, Abort)).unwrap();
    assert_eq!(fixture.stable(), 3);
    let ended = fixture.end(marker(3, 1, Abort)).unwrap();
    assert_eq!((fixture.stable(), ended.last_stable_offset), (6, 6));
}

#[test]
fn aborted_transactions_come_in_the_order_of_their_markers_and_only_those_that_overlap() {
    let fixture = Fixture::with_small_segments();
    for (id, outcome) in [(1, Abort), (2, Commit), (3, Abort)] {
        fixture.append(in_transaction(id, 0, 0, 2)).unwrap();
        fixture.append(in_transaction(id + 10, 0, 0, 1)).unwrap();
        fixture.end(marker(id + 10, 1, outcome)).unwrap();
        fixture.end(marker(id, 1, outcome)).unwrap();
    }
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < fixture.log().end_offset() {
        let read = fixture.log().read(offset, 1, true, ReadCommitted).unwrap();
        let [(base_offset, count)] = layout(&read.records)[..] else { panic!("one batch") };
        found.push((base_offset, read.aborted));
        offset = base_offset + i64::from(count);
    }
    let expected = [
        (0, vec![aborted(1, 0)]),
        (2, vec![aborted(11, 2), aborted(1, 0)]),
        (3, vec![aborted(11, 2), aborted(1, 0)]),
        (4, vec![aborted(1, 0)]),
        (5, vec![]),
        (7, vec![]),
        (8, vec![]),
        (9, vec![]),
        (10, vec![aborted(3, 10)]),
        (12, vec![aborted(13, 12), aborted(3, 10)]),
        (13, vec![aborted(13, 12), aborted(3, 10)]),
        (14, vec![aborted(3, 10)]),
    ];
    assert_eq!(found, expected);
    assert!(fixture.read(0, ReadUncommitted).aborted.is_empty());
}

#[test]
fn a_lookup_by_timestamp_finds_nothing_that_is_undecided() {
    let fixture = Fixture::new();
    fixture.append(plain(1, 0, 0, 1)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 5)).unwrap();
    let log = fixture.log();
    let find = |isolation| log.offset_for_timestamp(1003, isolation).unwrap().map(|found| found.offset);
    assert_eq!((find(ReadUncommitted), find(ReadCommitted)), (Some(4), None));
    let largest = |isolation| log.offset_of_max_timestamp(isolation).unwrap().map(|found| found.offset);
    assert_eq!((largest(ReadUncommitted), largest(ReadCommitted)), (Some(5), None));
    fixture.end(marker(2, 1, Commit)).unwrap();
    assert_eq!(find(ReadCommitted), Some(4));
}
