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

/// As DeleteRecords does it: who waits for the transaction would wait for ever.
#[test]
fn a_log_start_behind_an_open_transaction_moves_the_last_stable_offset() {
    let mut fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 2)).unwrap();
    fixture.append(plain(9, 0, 0, 3)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 2)).unwrap();
    fixture.log().advance_start_offset(3).unwrap();
    assert_eq!(fixture.stable(), 3);
    fixture.end(marker(1, 1, Abort)).unwrap();
    assert_eq!(fixture.stable(), 5);
    fixture.log().advance_start_offset(5).unwrap();
    fixture.restart();
    assert_eq!(fixture.stable(), 5);
    fixture.end(marker(2, 1, Commit)).unwrap();
    assert_eq!((fixture.stable(), fixture.log().end_offset()), (9, 9));
}

#[test]
fn thousands_of_aborted_transactions_are_found_before_and_after_a_restart() {
    let mut fixture = Fixture::new();
    let count = 5000;
    for i in 0..count {
        fixture.append(in_transaction(1, i, 0, 1)).unwrap();
        fixture.end(marker(1, i + 1, Abort)).unwrap();
    }
    assert!(fixture.has_any("txnindex"), "they do not all wait in memory");
    let restarts: [fn(&mut Fixture); 3] =
        [|_| (), |fixture| drop(fixture.restart()), |fixture| drop(fixture.kill())];
    for restart in restarts {
        restart(&mut fixture);
        assert_eq!(fixture.read_committed(0).aborted.len(), count as usize);
        for i in [0, 1, 4095, 4096, 4999] {
            let read = fixture.log().read(2 * i, 1, true, ReadCommitted).unwrap();
            assert_eq!(read.aborted, [aborted(1, 2 * i)]);
        }
        assert!(fixture.read_committed(i64::from(count) * 2).aborted.is_empty());
    }
}
