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
fn an_earlier_batch_of_an_ended_transaction_is_recognised_after_a_restart() {
    let mut fixture = Fixture::with_small_segments();
    let sent = [0, 1].map(|sequence| in_transaction(2, 0, sequence, 1));
    for (batch, others) in sent.into_iter().zip([0..9, 9..18]) {
        fixture.append(batch).unwrap();
        for sequence in others {
            fixture.append(plain(1, 0, sequence, 1)).unwrap();
        }
    }
    fixture.end(ottla_storage::TransactionMarker { transaction_version: 1, ..marker(2, 0, Commit) }).unwrap();
    fixture.restart();
    let again = fixture.append_with(sent[0], None).unwrap();
    assert!(again.duplicate);
    assert_eq!(again.base_offset, 0);
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

#[test]
fn a_producer_is_known_after_its_segments_are_gone_and_after_a_restart() {
    let restarts: [fn(&mut Fixture); 2] = [|fixture| drop(fixture.restart()), |fixture| drop(fixture.kill())];
    for restart in restarts {
        let mut fixture = Fixture::with_small_segments();
        let sent: Vec<_> = (0..3).map(|i| plain(1, 0, 2 * i, 2)).collect();
        let others = (0..9).map(|i| plain(2, 0, i, 1));
        for batch in sent.iter().copied().chain(others) {
            fixture.append(batch).unwrap();
        }
        fixture.log().advance_start_offset(10).unwrap();
        assert!(fixture.log().drop_segments_below_start().unwrap() > 0);
        restart(&mut fixture);
        let again = fixture.append(sent[2]).unwrap();
        assert!(again.duplicate);
        assert_eq!(again.base_offset, 4);
        let gap = sequence_error(fixture.append(plain(1, 0, 8, 1)));
        assert_eq!(gap, SequenceError::OutOfOrderSequence { producer_id: 1, received: 8, expected: 6 });
        fixture.append(plain(1, 0, 6, 1)).unwrap();
    }
}

/// `producer.id.expiration.ms`: who was silent for so long may begin anywhere, unless a transaction waits for it.
#[test]
fn silent_producers_are_forgotten_but_not_in_a_transaction() {
    let fixture = Fixture::new();
    fixture.append(plain(1, 0, 0, 1)).unwrap();
    fixture.append(in_transaction(2, 0, 0, 1)).unwrap();
    fixture.log().expire_producers(2000, 1000);
    let known: Vec<_> = fixture.log().producers().unwrap();
    assert_eq!(known.iter().map(|producer| producer.producer_id).collect::<Vec<_>>(), [2]);
    fixture.append(plain(1, 0, 7, 1)).unwrap();
    assert_eq!(fixture.stable(), 1);
}
