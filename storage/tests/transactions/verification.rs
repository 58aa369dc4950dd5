//! No transaction begins in the log that its coordinator does not know to be open (KIP-890).

use ottla_storage::SequenceError;

use crate::fixture::{Abort, Commit, Fixture, in_transaction, marker, plain, sequence_error};

const NOT_OPEN: SequenceError = SequenceError::NoOpenTransaction { producer_id: 1 };

fn out_of_order(received: i32, expected: i32) -> SequenceError {
    SequenceError::OutOfOrderSequence { producer_id: 1, received, expected }
}

#[test]
fn a_transaction_begins_with_a_guard_and_goes_on_without() {
    let fixture = Fixture::new();
    assert_eq!(sequence_error(fixture.append_with(in_transaction(1, 0, 0, 1), None)), NOT_OPEN);
    let guard = fixture.verify(in_transaction(1, 0, 0, 1)).unwrap();
    assert!(guard.is_some());
    fixture.append_with(in_transaction(1, 0, 0, 1), guard).unwrap();
    assert_eq!(fixture.verify(in_transaction(1, 0, 1, 1)).unwrap(), None);
    fixture.append_with(in_transaction(1, 0, 1, 1), None).unwrap();
    assert_eq!(fixture.stable(), 0);
}

#[test]
fn a_transaction_that_ends_before_the_append_is_not_begun_again() {
    let fixture = Fixture::new();
    let guard = fixture.verify(in_transaction(1, 0, 0, 1)).unwrap();
    fixture.end(marker(1, 0, Abort)).unwrap();
    assert_eq!(sequence_error(fixture.append_with(in_transaction(1, 0, 0, 1), guard)), NOT_OPEN);
    let next = fixture.verify(in_transaction(1, 0, 0, 1)).unwrap();
    assert_ne!(next, guard);
    assert_eq!(sequence_error(fixture.append_with(in_transaction(1, 0, 0, 1), guard)), NOT_OPEN);
    fixture.append_with(in_transaction(1, 0, 0, 1), next).unwrap();
}

#[test]
fn a_guard_is_good_for_its_producer_and_its_log_only() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let guard = fixture.verify(in_transaction(1, 0, 0, 1)).unwrap();
    other.verify(in_transaction(1, 0, 0, 1)).unwrap();
    assert_eq!(sequence_error(other.append_with(in_transaction(1, 0, 0, 1), guard)), NOT_OPEN);
    let of_another = fixture.verify(in_transaction(2, 0, 0, 1)).unwrap();
    assert_eq!(sequence_error(fixture.append_with(in_transaction(1, 0, 0, 1), of_another)), NOT_OPEN);
}

#[test]
fn a_later_epoch_is_verified_although_the_earlier_one_is_open() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 1)).unwrap();
    assert_eq!(sequence_error(fixture.append_with(in_transaction(1, 1, 0, 1), None)), NOT_OPEN);
    assert!(fixture.verify(in_transaction(1, 1, 0, 1)).unwrap().is_some());
}

#[test]
fn a_producer_that_was_fenced_is_not_verified() {
    let fixture = Fixture::new();
    fixture.end(marker(1, 3, Commit)).unwrap();
    let error = fixture.verify(in_transaction(1, 2, 0, 1)).unwrap_err();
    assert_eq!(
        sequence_error(Err(error)),
        SequenceError::InvalidProducerEpoch { producer_id: 1, received: 2, current: 3 }
    );
}

#[test]
fn a_batch_outside_the_open_transaction_is_refused() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 1)).unwrap();
    let error = sequence_error(fixture.append(plain(1, 0, 1, 1)));
    assert_eq!(error, SequenceError::OutsideTransaction { producer_id: 1, first_offset: 0 });
    fixture.end(marker(1, 1, Commit)).unwrap();
    fixture.append(plain(1, 1, 0, 1)).unwrap();
}

#[test]
fn a_producer_with_epochs_per_transaction_begins_at_sequence_zero() {
    let fixture = Fixture::new();
    assert_eq!(sequence_error(fixture.append(in_transaction(1, 0, 5, 1))), out_of_order(5, 0));
    fixture.append(plain(2, 0, 5, 1)).unwrap();
}

/// The first of two batches was answered with a retriable error; the second must not take its place.
#[test]
fn nothing_behind_the_lowest_verified_sequence_is_appended_first() {
    let fixture = Fixture::new();
    let request = |base_sequence| ottla_storage::VerificationRequest {
        producer_id: 1,
        producer_epoch: 0,
        base_sequence,
        supports_epoch_bump: false,
    };
    let log = fixture.log();
    log.start_transaction_verification(request(3), 0).unwrap();
    let guard = log.start_transaction_verification(request(6), 0).unwrap();
    let refused = sequence_error(fixture.append_with(in_transaction(1, 0, 6, 3), guard));
    assert_eq!(refused, out_of_order(6, 3));
    fixture.append_with(in_transaction(1, 0, 3, 3), guard).unwrap();
    fixture.append_with(in_transaction(1, 0, 6, 3), None).unwrap();
}

#[test]
fn what_a_coordinator_appends_in_a_transaction_is_verified_too() {
    let fixture = Fixture::new();
    let offsets = in_transaction(1, 4, -1, 2);
    assert_eq!(sequence_error(fixture.append_as_coordinator(offsets, None)), NOT_OPEN);
    let guard = fixture.verify(offsets).unwrap();
    fixture.append_as_coordinator(offsets, guard).unwrap();
    fixture.append_as_coordinator(offsets, None).unwrap();
    let old = fixture.append_as_coordinator(in_transaction(1, 3, -1, 2), None);
    assert_eq!(
        sequence_error(old),
        SequenceError::InvalidProducerEpoch { producer_id: 1, received: 3, current: 4 }
    );
}
