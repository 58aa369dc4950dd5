//! One transactional id, step by step.

use ottla_protocol::messages::{TopicName, TransactionalId};
use ottla_protocol::{ErrorCode, StrBytes};

use super::end::{End, Ended};
use super::init::{Init, Initialized};
use super::partition_set::PartitionSet;
use super::record;
use super::transaction::{ClientVersion, Outcome, Producer, State, Transaction};

const TIMEOUT_MS: i32 = 60_000;
const NOW_MS: i64 = 1_700_000_000_000;
const FRESH_ID: i64 = 4_000;

fn partitions(count: i32) -> PartitionSet {
    (0..count).map(|partition| (TopicName(StrBytes::from_static_str("t")), partition)).collect()
}

fn at(epoch: i16) -> Transaction {
    let mut transaction = Transaction::new(1_000, TIMEOUT_MS, NOW_MS);
    transaction.producer.epoch = epoch;
    transaction
}

fn no_id() -> Result<i64, ErrorCode> {
    panic!("the epochs are not used up")
}

fn fresh_id() -> Result<i64, ErrorCode> {
    Ok(FRESH_ID)
}

fn ongoing(transaction: &Transaction) -> Transaction {
    let producer = transaction.producer;
    transaction.add_partitions(producer, partitions(2), ClientVersion::V2, NOW_MS + 1).unwrap().unwrap()
}

fn end(transaction: &Transaction, producer: Producer, outcome: Outcome) -> Result<Ended, ErrorCode> {
    let end = End { producer, outcome, client_version: ClientVersion::V2 };
    transaction.end(end, fresh_id, NOW_MS + 2)
}

fn ended(transaction: &Transaction, outcome: Outcome) -> Transaction {
    match end(transaction, transaction.producer, outcome) {
        Ok(Ended::Now(prepared)) => prepared,
        other => panic!("{other:?}"),
    }
}

fn completed(transaction: &Transaction, outcome: Outcome) -> Transaction {
    ended(transaction, outcome).complete(NOW_MS + 3).unwrap()
}

fn init(transaction: &Transaction, expected: Option<Producer>) -> Result<Initialized, ErrorCode> {
    transaction.init(Init { timeout_ms: TIMEOUT_MS, expected }, fresh_id, NOW_MS + 4)
}

fn ready(initialized: Result<Initialized, ErrorCode>) -> Transaction {
    match initialized {
        Ok(Initialized::Ready(transaction)) => transaction,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_transaction_of_a_producer_has_an_epoch_of_its_own() {
    let prepared = ended(&ongoing(&at(3)), Outcome::Commit);
    assert_eq!((prepared.producer.epoch, prepared.state_name()), (4, "PrepareCommit"));
    let complete = prepared.complete(NOW_MS).unwrap();
    assert_eq!((complete.producer.epoch, complete.state_name()), (4, "CompleteCommit"));
}

#[test]
fn a_retried_end_does_not_decide_the_next_transaction() {
    let first = at(3).producer;
    let complete = completed(&ongoing(&at(3)), Outcome::Commit);
    assert_eq!(end(&complete, first, Outcome::Commit), Ok(Ended::Before));
    assert_eq!(end(&complete, first, Outcome::Abort), Err(ErrorCode::InvalidTxnState));
    assert_eq!(end(&ongoing(&complete), first, Outcome::Commit), Err(ErrorCode::ProducerFenced));
    assert_eq!(end(&ongoing(&complete), first, Outcome::Abort), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_end_that_comes_twice_while_markers_are_written_is_to_be_tried_again() {
    let prepared = ended(&ongoing(&at(3)), Outcome::Abort);
    assert_eq!(end(&prepared, at(3).producer, Outcome::Abort), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(end(&prepared, at(3).producer, Outcome::Commit), Err(ErrorCode::InvalidTxnState));
    assert_eq!(end(&prepared, prepared.producer, Outcome::Abort), Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_abort_without_a_transaction_raises_the_epoch_and_a_commit_is_refused() {
    for idle in
        [at(3), completed(&ongoing(&at(2)), Outcome::Commit), completed(&ongoing(&at(2)), Outcome::Abort)]
    {
        assert_eq!(end(&idle, idle.producer, Outcome::Commit), Err(ErrorCode::InvalidTxnState), "{idle:?}");
        let aborted = completed(&idle, Outcome::Abort);
        assert_eq!((aborted.producer.epoch, aborted.state_name()), (4, "CompleteAbort"));
    }
}

#[test]
fn clients_of_one_epoch_end_as_before_kip_890() {
    let ongoing = ongoing(&at(3));
    let commit = |transaction: &Transaction, outcome| {
        let end = End { producer: at(3).producer, outcome, client_version: ClientVersion::V0 };
        transaction.end(end, no_id, NOW_MS)
    };
    let Ok(Ended::Now(prepared)) = commit(&ongoing, Outcome::Commit) else { panic!() };
    assert_eq!(prepared.producer.epoch, 3);
    assert_eq!(commit(&prepared, Outcome::Commit), Err(ErrorCode::ConcurrentTransactions));
    let complete = prepared.complete(NOW_MS).unwrap();
    assert_eq!(commit(&complete, Outcome::Commit), Ok(Ended::Before));
    assert_eq!(commit(&complete, Outcome::Abort), Err(ErrorCode::InvalidTxnState));
    assert_eq!(commit(&at(3), Outcome::Abort), Err(ErrorCode::InvalidTxnState));
    assert_eq!(commit(&at(4), Outcome::Abort), Err(ErrorCode::ProducerFenced));
}

#[test]
fn the_last_epoch_of_an_id_is_followed_by_another_id() {
    let last = at(i16::MAX - 1);
    let prepared = ended(&ongoing(&last), Outcome::Commit);
    assert_eq!(prepared.producer, Producer { id: 1_000, epoch: i16::MAX });
    let complete = prepared.complete(NOW_MS).unwrap();
    assert_eq!(complete.producer, Producer { id: FRESH_ID, epoch: 0 });
    assert_eq!(complete.previous_id, Some(1_000));
    assert_eq!(end(&complete, last.producer, Outcome::Commit), Ok(Ended::Before));
    assert_eq!(ready(init(&complete, Some(last.producer))).producer, complete.producer);
}

#[test]
fn a_producer_goes_on_after_an_error_and_may_ask_twice() {
    let next = ready(init(&at(3), Some(at(3).producer)));
    assert_eq!(next.producer.epoch, 4);
    assert_eq!(ready(init(&next, Some(at(3).producer))).producer.epoch, 4);
    assert_eq!(init(&next, Some(at(2).producer)), Err(ErrorCode::ProducerFenced));
    let stranger = Producer { id: 5, epoch: 3 };
    assert_eq!(init(&at(3), Some(stranger)), Err(ErrorCode::ProducerFenced));
}

#[test]
fn whoever_comes_anew_fences_the_one_before() {
    let next = ready(init(&at(3), None));
    assert_eq!(next.producer.epoch, 4);
    assert_eq!(init(&next, Some(at(3).producer)), Err(ErrorCode::ProducerFenced));
    let added = next.add_partitions(at(3).producer, partitions(1), ClientVersion::V2, NOW_MS);
    assert_eq!(added, Err(ErrorCode::ProducerFenced));
}

#[test]
fn an_open_transaction_is_aborted_before_its_id_is_given_away() {
    let Ok(Initialized::Fenced(prepared)) = init(&ongoing(&at(3)), None) else { panic!() };
    assert_eq!((prepared.producer.epoch, prepared.state_name()), (4, "PrepareAbort"));
    assert_eq!(init(&prepared, None), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(ready(init(&prepared.complete(NOW_MS).unwrap(), None)).producer.epoch, 5);
}

#[test]
fn exhausted_epochs_bring_a_new_id() {
    let next = ready(init(&at(i16::MAX - 1), None));
    assert_eq!((next.producer, next.last_epoch), (Producer { id: FRESH_ID, epoch: 0 }, None));
    let known = Some(at(i16::MAX - 1).producer);
    let next = ready(init(&at(i16::MAX - 1), known));
    assert_eq!(ready(init(&next, known)).producer, Producer { id: FRESH_ID, epoch: 0 });
}

#[test]
fn partitions_that_a_transaction_has_need_no_record() {
    let ongoing = ongoing(&at(3));
    let add =
        |count| ongoing.add_partitions(ongoing.producer, partitions(count), ClientVersion::V2, NOW_MS + 9);
    assert_eq!(add(2), Ok(None));
    let more = add(3).unwrap().unwrap();
    assert_eq!(more.start_ms(), Some(NOW_MS + 1));
    assert!(more.verify(more.producer).unwrap().unwrap().contains_all(&partitions(3)));
    assert_eq!(at(3).verify(at(3).producer), Ok(None));
}

#[test]
fn a_transaction_times_out_and_an_idle_id_expires() {
    let timeout_ms = i64::from(TIMEOUT_MS);
    let open = ongoing(&at(3));
    assert!(!open.is_timed_out(NOW_MS + 1 + timeout_ms));
    assert!(open.is_timed_out(NOW_MS + 2 + timeout_ms));
    assert!(!open.is_expired(i64::MAX, 1));
    assert!(!at(3).is_expired(NOW_MS + 99, 100));
    assert!(at(3).is_expired(NOW_MS + 100, 100));
}

#[test]
fn every_state_comes_back_from_the_log() {
    let id = TransactionalId(StrBytes::from_static_str("my-txn"));
    let open = ongoing(&at(i16::MAX - 1));
    for mut transaction in [
        at(0),
        open.clone(),
        ended(&open, Outcome::Commit),
        ended(&open, Outcome::Abort),
        completed(&open, Outcome::Commit),
        completed(&open, Outcome::Abort),
    ] {
        let written = record::encode(&id, Some(&transaction));
        transaction.last_epoch = None;
        let read = record::decode(&written.key, written.value.as_deref());
        assert_eq!(read, Ok(Some((id.clone(), Some(transaction)))));
    }
    let tombstone = record::encode(&id, None);
    assert_eq!(record::decode(&tombstone.key, None), Ok(Some((id, None))));
}

#[test]
fn a_state_that_is_never_written_is_refused() {
    let id = TransactionalId(StrBytes::from_static_str("my-txn"));
    let mut written = record::encode(&id, Some(&at(0)));
    const STATUS_AT: usize = 16;
    written.value.as_mut().unwrap()[STATUS_AT] = 7;
    let read = record::decode(&written.key, written.value.as_deref());
    assert_eq!(read, Err(record::RecordError::Status(7)));
    assert!(matches!(at(0).state, State::Empty));
}
