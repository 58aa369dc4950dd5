//! What a log knows of its transactions after a restart or a kill.

use std::fs;

use crate::fixture::{Abort, Commit, Fixture, aborted, in_transaction, marker, plain};

/// Producer 1 has aborted, 2 has committed, 3 is open.
fn written(fixture: &Fixture) {
    for (id, outcome) in [(1, Abort), (2, Commit)] {
        fixture.append(in_transaction(id, 0, 0, 2)).unwrap();
        fixture.append(plain(9, 0, id as i32 - 1, 1)).unwrap();
        fixture.end(marker(id, 1, outcome)).unwrap();
    }
    fixture.append(in_transaction(3, 0, 0, 1)).unwrap();
    fixture.append(plain(9, 0, 2, 1)).unwrap();
}

fn check(fixture: &Fixture) {
    assert_eq!((fixture.stable(), fixture.log().end_offset()), (8, 10));
    assert_eq!(fixture.read_committed(0).aborted, [aborted(1, 0)]);
    let open: Vec<_> = fixture.log().producers().unwrap();
    let open: Vec<_> = open.iter().map(|producer| producer.current_txn_first_offset).collect();
    assert_eq!(open, [None, None, Some(8), None]);
    fixture.append(in_transaction(3, 0, 1, 1)).unwrap();
    fixture.end(marker(3, 1, Abort)).unwrap();
    assert_eq!(fixture.stable(), 12);
    assert_eq!(fixture.read_committed(8).aborted, [aborted(3, 8)]);
}

#[test]
fn transactions_survive_a_clean_restart() {
    let mut fixture = Fixture::new();
    written(&fixture);
    fixture.restart();
    check(&fixture);
}

#[test]
fn transactions_survive_a_kill() {
    let mut fixture = Fixture::new();
    written(&fixture);
    fixture.kill();
    check(&fixture);
}

#[test]
fn transactions_survive_a_kill_after_a_flush() {
    let mut fixture = Fixture::new();
    written(&fixture);
    fixture.log().flush().unwrap();
    assert_eq!(fs::metadata(fixture.path(0, "txnindex")).unwrap().len(), 34);
    fixture.kill();
    check(&fixture);
}

#[test]
fn an_abort_that_was_lost_in_a_kill_is_not_in_the_index_either() {
    let mut fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 2)).unwrap();
    fixture.end(marker(1, 1, Abort)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 2)).unwrap();
    let before = fixture.log().size_bytes();
    fixture.end(marker(2, 1, Abort)).unwrap();
    fixture.close();
    let log = fs::OpenOptions::new().write(true).open(fixture.path(0, "log")).unwrap();
    log.set_len(before).unwrap();
    drop(log);
    fixture.open(ottla_storage::LogStart::Unclean { recovery_point: 0 });
    assert_eq!(fixture.stable(), 3);
    fixture.end(marker(2, 1, Commit)).unwrap();
    assert_eq!(fixture.read_committed(0).aborted, [aborted(1, 0)]);
    fixture.close();
    assert_eq!(fs::metadata(fixture.path(0, "txnindex")).unwrap().len(), 34);
}

#[test]
fn a_damaged_index_of_aborted_transactions_is_made_anew() {
    let another_version = |bytes: &[u8]| [&[7], &bytes[1..]].concat();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let zeros_behind = |bytes: &[u8]| [bytes, &[0; 34]].concat();
    for damage in [another_version, cut, zeros_behind] {
        let mut fixture = Fixture::with_small_segments();
        written(&fixture);
        let sound = fixture.close();
        let path = fixture.path(0, "txnindex");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, damage(&bytes)).unwrap();
        fixture.open(sound);
        check(&fixture);
        fixture.close();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
