//! Which markers are appended.

use ottla_protocol::records::control::{ControlRecordType, EndTransactionMarker};
use ottla_storage::{
    Isolation::ReadUncommitted, MarkerError, SequenceError, TransactionMarker, TransactionOutcome,
};

use crate::fixture::{Abort, Commit, Fixture, NOW_MS, in_transaction, marker, plain};

fn v1(id: i64, epoch: i16, outcome: TransactionOutcome) -> TransactionMarker {
    TransactionMarker { transaction_version: 1, ..marker(id, epoch, outcome) }
}

fn old_epoch(received: i16, current: i16) -> SequenceError {
    SequenceError::InvalidProducerEpoch { producer_id: 1, received, current }
}

fn refusal(fixture: &Fixture, marker: TransactionMarker) -> SequenceError {
    match fixture.end(marker) {
        Err(MarkerError::Producer(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_marker_is_a_control_batch_of_one_record_and_takes_one_offset() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 3)).unwrap();
    let ended = fixture.end(TransactionMarker { coordinator_epoch: 9, ..marker(1, 1, Abort) }).unwrap();
    assert_eq!((ended.base_offset, ended.last_offset, fixture.log().end_offset()), (3, 3, 4));
    let records = fixture.read(3, ReadUncommitted).records;
    let (batch, _) = ottla_protocol::batch::RecordBatch::parse(&records).unwrap();
    let header = batch.header();
    assert!(header.is_control() && header.is_transactional());
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (1, 1, -1));
    let records = batch.records(1000).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(record.timestamp, NOW_MS);
    assert_eq!(ControlRecordType::decode_key(record.key.unwrap()).unwrap(), ControlRecordType::Abort);
    assert_eq!(EndTransactionMarker::decode(record.value.unwrap()).unwrap().coordinator_epoch, 9);
    batch.verify_crc().unwrap();
}

/// KAFKA-17754: from `transaction.version` 2 on each transaction has its own epoch.
#[test]
fn a_late_marker_does_not_end_the_next_transaction() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 1)).unwrap();
    fixture.end(marker(1, 1, Commit)).unwrap();
    fixture.append(in_transaction(1, 1, 0, 1)).unwrap();
    assert_eq!(refusal(&fixture, marker(1, 1, Abort)), old_epoch(1, 1));
    assert_eq!(refusal(&fixture, marker(1, 0, Abort)), old_epoch(0, 1));
    assert_eq!(fixture.stable(), 2);
    fixture.end(marker(1, 2, Commit)).unwrap();
    assert_eq!(fixture.stable(), 4);
}

/// KAFKA-19999: the coordinator did not hear that its marker was written.
#[test]
fn a_marker_that_comes_again_is_taken_while_no_transaction_is_open() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 1)).unwrap();
    fixture.end(marker(1, 1, Commit)).unwrap();
    let again = fixture.end(marker(1, 1, Commit)).unwrap();
    assert_eq!((again.base_offset, again.last_stable_offset), (2, 3));
}

#[test]
fn the_last_epoch_ends_its_own_transaction() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, i16::MAX, 0, 1)).unwrap();
    fixture.end(marker(1, i16::MAX, Abort)).unwrap();
    assert_eq!(fixture.stable(), 2);
}

#[test]
fn before_version_2_a_transaction_ends_in_its_own_epoch() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 3, 0, 1)).unwrap();
    assert_eq!(refusal(&fixture, v1(1, 2, Commit)), old_epoch(2, 3));
    fixture.end(v1(1, 3, Commit)).unwrap();
    fixture.append(in_transaction(1, 3, 1, 1)).unwrap();
    assert_eq!(fixture.stable(), 2);
    fixture.end(v1(1, 4, Abort)).unwrap();
    assert_eq!(fixture.stable(), 4);
}

#[test]
fn a_coordinator_that_was_replaced_is_fenced() {
    let fixture = Fixture::new();
    let of = |coordinator_epoch, epoch| TransactionMarker { coordinator_epoch, ..marker(1, epoch, Abort) };
    fixture.end(of(5, 0)).unwrap();
    match fixture.end(of(4, 1)) {
        Err(MarkerError::CoordinatorFenced { producer_id: 1, received: 4, current: 5 }) => {}
        other => panic!("{other:?}"),
    }
    fixture.end(of(5, 1)).unwrap();
    fixture.end(of(6, 2)).unwrap();
}

#[test]
fn a_marker_fences_the_epochs_below_its_own() {
    let fixture = Fixture::new();
    fixture.append(plain(1, 0, 0, 1)).unwrap();
    fixture.end(marker(1, 1, Abort)).unwrap();
    let error = crate::fixture::sequence_error(fixture.append(plain(1, 0, 1, 1)));
    assert_eq!(error, old_epoch(0, 1));
    fixture.append(plain(1, 1, 0, 1)).unwrap();
}

#[test]
fn a_marker_without_a_transaction_aborts_nothing() {
    let mut fixture = Fixture::new();
    fixture.end(marker(1, 0, Abort)).unwrap();
    fixture.append(plain(2, 0, 0, 1)).unwrap();
    assert!(fixture.read_committed(0).aborted.is_empty());
    fixture.close();
    assert!(!fixture.has_any("txnindex"));
}
