//! Each batch once, across transactions.

use crate::fixture::{Abort, Commit, Fixture, in_transaction, marker, plain, sequence_error};
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

/// Kafka's snapshot keeps the newest batch of each producer alone, and so would refuse the others.
#[test]
fn each_of_the_last_five_batches_is_recognised_after_a_restart_and_after_a_kill() {
    let restarts: [fn(&mut Fixture); 3] = [
        |fixture| drop(fixture.restart()),
        |fixture| drop(fixture.kill()),
        |fixture| {
            fixture.log().flush().unwrap();
            fixture.kill();
        },
    ];
    for restart in restarts {
        let mut fixture = Fixture::with_small_segments();
        let sent: Vec<_> = (0..7).map(|i| plain(1, 0, 2 * i, 2)).collect();
        for (i, &batch) in sent.iter().enumerate() {
            fixture.append(batch).unwrap();
            fixture.append(plain(2, 0, i as i32, 1)).unwrap();
        }
        restart(&mut fixture);
        for (i, &batch) in sent.iter().enumerate().skip(2) {
            let again = fixture.append(batch).unwrap();
            assert!(again.duplicate);
            assert_eq!(again.base_offset, 3 * i as i64);
        }
        let error = SequenceError::OutOfOrderSequence { producer_id: 1, received: 2, expected: 14 };
        assert_eq!(sequence_error(fixture.append(sent[1])), error);
        fixture.append(plain(1, 0, 14, 1)).unwrap();
    }
}
