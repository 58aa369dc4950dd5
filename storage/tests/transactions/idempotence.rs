//! Each batch once, across transactions.

use crate::fixture::{Abort, Commit, Fixture, in_transaction, marker, sequence_error};
use ottla_storage::SequenceError;

#[test]
fn a_retry_after_the_transaction_ended_is_answered_with_the_first_offset() {
    let fixture = Fixture::new();
    let sent = in_transaction(1, 0, 0, 2);
    fixture.append(sent).unwrap();
    let marker = ottla_storage::TransactionMarker { transaction_version: 1, ..marker(1, 0, Commit) };
    fixture.end(marker).unwrap();
    let again = fixture.append_with(sent, None).unwrap();
    assert!(again.duplicate);
    assert_eq!((again.base_offset, again.last_offset, again.last_stable_offset), (0, 1, 3));
}

#[test]
fn a_retry_from_before_an_epoch_is_refused() {
    let fixture = Fixture::new();
    fixture.append(in_transaction(1, 0, 0, 2)).unwrap();
    fixture.end(marker(1, 1, Abort)).unwrap();
    let error = sequence_error(fixture.append_with(in_transaction(1, 0, 0, 2), None));
    assert_eq!(error, SequenceError::InvalidProducerEpoch { producer_id: 1, received: 0, current: 1 });
}
