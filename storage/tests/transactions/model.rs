//! Any interleaving of producers, markers, restarts, kills and lost tails leaves what the oracle says.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::batch;
use ottla_storage::{
    AppendError, Isolation, LogStart, MarkerError, ReadOutcome, TransactionMarker, VerificationGuard,
};
use proptest::prelude::*;

use crate::fixture::{Abort, Batch, Commit, Fixture, layout};
use crate::oracle::{Expected, Kind, Oracle, Refusal};

const PRODUCERS: i64 = 4;

#[derive(Clone, Debug)]
enum Op {
    Send {
        id: i64,
        epoch_step: i16,
        sequence: Sequence,
        count: i32,
        transactional: bool,
        guard: Guard,
    },
    End {
        id: i64,
        epoch_step: i16,
        coordinator_step: i32,
        abort: bool,
        version: i16,
    },
    Read {
        offset: prop::sample::Index,
        max_bytes: usize,
    },
    Flush,
    Restart,
    Kill,
    /// A kill after which the last batches are not there.
    LoseTail {
        left: prop::sample::Index,
    },
    /// A kill after which an index is not there, or damaged.
    DamageIndex {
        which: prop::sample::Index,
        missing: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Sequence {
    Next,
    Zero,
    /// That of an earlier batch.
    Back(usize),
    Gap,
}

#[derive(Clone, Copy, Debug)]
enum Guard {
    None,
    Fresh,
    /// The one that was given first, however long ago.
    Old,
}

fn op() -> impl Strategy<Value = Op> {
    let sequence = prop_oneof![
        8 => Just(Sequence::Next),
        1 => Just(Sequence::Zero),
        2 => (0..7_usize).prop_map(Sequence::Back),
        1 => Just(Sequence::Gap),
    ];
    let guard = prop_oneof![1 => Just(Guard::None), 8 => Just(Guard::Fresh), 1 => Just(Guard::Old)];
    let step = || prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(-1)];
    let send = (0..PRODUCERS, step(), sequence, 1..4_i32, prop::bool::weighted(0.7), guard).prop_map(
        |(id, epoch_step, sequence, count, transactional, guard)| Op::Send {
            id,
            epoch_step,
            sequence,
            count,
            transactional,
            guard,
        },
    );
    let end = (
        0..PRODUCERS,
        prop_oneof![6 => Just(1), 2 => Just(0), 1 => Just(-1)],
        step().prop_map(i32::from),
        any::<bool>(),
        1..=2_i16,
    );
    let end = end.prop_map(|(id, epoch_step, coordinator_step, abort, version)| Op::End {
        id,
        epoch_step,
        coordinator_step,
        abort,
        version,
    });
    let read = (any::<prop::sample::Index>(), prop::sample::select(&[1_usize, 200, 100_000][..]));
    prop_oneof![
        12 => send,
        5 => end,
        4 => read.prop_map(|(offset, max_bytes)| Op::Read { offset, max_bytes }),
        1 => Just(Op::Flush),
        1 => Just(Op::Restart),
        1 => Just(Op::Kill),
        1 => any::<prop::sample::Index>().prop_map(|left| Op::LoseTail { left }),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, missing)| Op::DamageIndex { which, missing }),
    ]
}

struct Harness {
    fixture: Fixture,
    oracle: Oracle,
    /// The lowest sequence of each verification, and its guard.
    verifications: BTreeMap<i64, (VerificationGuard, i16, i32)>,
    first_guards: BTreeMap<i64, VerificationGuard>,
    coordinator_epoch: i32,
    now_ms: i64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_knows_its_transactions(ops in prop::collection::vec(op(), 1..60)) {
        let mut harness = Harness {
            fixture: Fixture::with_small_segments(),
            oracle: Oracle::default(),
            verifications: BTreeMap::new(),
            first_guards: BTreeMap::new(),
            coordinator_epoch: 0,
            now_ms: 1000,
        };
        for op in ops {
            harness.run(&op);
            check(&harness.fixture, &harness.oracle);
        }
    }
}

impl Harness {
    fn run(&mut self, op: &Op) {
        match *op {
            Op::Send { id, epoch_step, sequence, count, transactional, guard } => {
                let batch = self.batch(id, epoch_step, sequence, count, transactional);
                self.send(batch, guard);
            }
            Op::End { id, epoch_step, coordinator_step, abort, version } => {
                let epoch = self.oracle.known().get(&id).map_or(0, |known| known.epoch);
                self.end(TransactionMarker {
                    producer_id: id,
                    producer_epoch: (epoch + epoch_step).max(0),
                    coordinator_epoch: (self.coordinator_epoch + coordinator_step).max(0),
                    outcome: if abort { Abort } else { Commit },
                    transaction_version: version,
                });
            }
            Op::Read { offset, max_bytes } => {
                let offset = offset.index(self.oracle.end() as usize + 1) as i64;
                read(&self.fixture, &self.oracle, offset, max_bytes);
            }
            Op::Flush => self.fixture.log().flush().unwrap(),
            Op::Restart => {
                let outcome = self.fixture.restart();
                assert_eq!(outcome.truncation, None);
                self.verifications.clear();
            }
            Op::Kill => self.kill(|_| ()),
            Op::LoseTail { left } => self.lose_tail(left),
            Op::DamageIndex { which, missing } => self.kill(|fixture| fixture.damage_index(which, missing)),
        }
    }

    fn batch(
        &mut self,
        id: i64,
        epoch_step: i16,
        sequence: Sequence,
        count: i32,
        transactional: bool,
    ) -> Batch {
        self.now_ms += 10;
        let known = self.oracle.known();
        let known = known.get(&id);
        let epoch = (known.map_or(0, |known| known.epoch) + epoch_step).max(0);
        let last = known.filter(|known| known.epoch == epoch).and_then(|known| known.batches.back());
        let next = last.map_or(0, |(batch, _)| batch.last_sequence() + 1);
        let earlier = |back: usize| {
            let batches = &known?.batches;
            batches.len().checked_sub(back + 1).and_then(|at| batches.get(at)).map(|(batch, _)| *batch)
        };
        let timestamp = self.now_ms;
        let new = Batch { id, epoch, base_sequence: next, count, transactional, timestamp };
        match sequence {
            Sequence::Next => new,
            Sequence::Zero => Batch { base_sequence: 0, ..new },
            Sequence::Gap => Batch { base_sequence: next + 2, ..new },
            Sequence::Back(back) => Batch { epoch, ..earlier(back).unwrap_or(new) },
        }
    }

    fn send(&mut self, batch: Batch, guard: Guard) {
        let guard = match guard {
            Guard::Fresh if batch.transactional => self.verify(batch),
            Guard::None | Guard::Fresh => None,
            Guard::Old => self.first_guards.get(&batch.id).copied(),
        };
        let verification = self.verifications.get(&batch.id);
        let is_verified = guard.is_some() && guard == verification.map(|&(current, ..)| current);
        let expected = self.oracle.judge(batch, verification.map(|&(.., lowest)| lowest), is_verified);
        let found = match self.fixture.append_with(batch, guard) {
            Ok(outcome) if outcome.duplicate => Expected::DuplicateOf(outcome.base_offset),
            Ok(outcome) => {
                assert_eq!(outcome.base_offset, self.oracle.end());
                Expected::Appended
            }
            Err(AppendError::Sequence(error)) => Expected::Refused(error.into()),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected, "{batch:?}");
        if found == Expected::Appended {
            self.oracle.push(Kind::Data(batch));
            if batch.transactional {
                self.verifications.remove(&batch.id);
            }
        }
    }

    fn verify(&mut self, batch: Batch) -> Option<VerificationGuard> {
        let known = self.oracle.known();
        let producer = known.get(&batch.id);
        let is_old = producer.is_some_and(|producer| batch.epoch < producer.epoch);
        let is_open =
            producer.is_some_and(|producer| producer.open.is_some() && batch.epoch == producer.epoch);
        match self.fixture.verify(batch) {
            Err(AppendError::Sequence(error)) => {
                assert!(is_old, "{error}");
                None
            }
            Err(error) => panic!("{error}"),
            Ok(None) => {
                assert!(is_open && !is_old);
                None
            }
            Ok(Some(guard)) => {
                assert!(!is_open && !is_old);
                let kept = self.verifications.entry(batch.id).or_insert((guard, batch.epoch, i32::MAX));
                assert_eq!(kept.0, guard);
                if batch.epoch > kept.1 {
                    *kept = (guard, batch.epoch, batch.base_sequence);
                } else if batch.epoch == kept.1 {
                    kept.2 = kept.2.min(batch.base_sequence);
                }
                self.first_guards.entry(batch.id).or_insert(guard);
                Some(guard)
            }
        }
    }

    fn end(&mut self, marker: TransactionMarker) {
        let expected = self.oracle.judge_marker(marker);
        let found = match self.fixture.end(marker) {
            Ok(_) => None,
            Err(MarkerError::Producer(error)) => Some(error.into()),
            Err(MarkerError::CoordinatorFenced { .. }) => Some(Refusal::CoordinatorFenced),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected, "{marker:?}");
        if found.is_none() {
            self.oracle.push(Kind::Marker(marker));
            self.verifications.remove(&marker.producer_id);
            self.coordinator_epoch = marker.coordinator_epoch;
        }
    }

    fn kill(&mut self, meanwhile: impl FnOnce(&Fixture)) {
        let recovery_point = self.fixture.stop();
        meanwhile(&self.fixture);
        self.fixture.open(LogStart::Unclean { recovery_point });
        self.verifications.clear();
    }

    fn lose_tail(&mut self, left: prop::sample::Index) {
        let recovery_point = self.fixture.stop();
        let (path, first) = self.fixture.last_log();
        let batches = self.oracle.history.iter().filter(|entry| entry.base_offset >= first);
        let kept_at_least = batches.clone().filter(|entry| entry.next_offset() <= recovery_point).count();
        let kept = kept_at_least + left.index(batches.count() - kept_at_least + 1);
        self.fixture.keep_batches(&path, kept);
        self.oracle.history.retain({
            let mut seen = 0;
            move |entry| {
                seen += usize::from(entry.base_offset >= first);
                seen <= kept
            }
        });
        self.fixture.open(LogStart::Unclean { recovery_point });
        self.verifications.clear();
    }
}

/// That the log is what the oracle says.
pub(crate) fn check(fixture: &Fixture, oracle: &Oracle) {
    let log = fixture.log();
    assert_eq!(log.end_offset(), oracle.end());
    assert_eq!(fixture.stable(), oracle.stable());
    assert_eq!(log.producers().unwrap(), oracle.active_producers());
    assert_eq!(consume(fixture, oracle), oracle.committed());
}

fn read(fixture: &Fixture, oracle: &Oracle, offset: i64, max_bytes: usize) -> ReadOutcome {
    let read = fixture.log().read(offset, max_bytes, true, Isolation::ReadCommitted).unwrap();
    let found = layout(&read.records);
    let stable = oracle.stable();
    assert_eq!(found.is_empty(), offset >= stable);
    let from = oracle.history.iter().skip_while(|entry| entry.next_offset() <= offset);
    let expected: Vec<_> = from.take(found.len()).collect();
    let starts: Vec<_> = expected.iter().map(|entry| entry.base_offset).collect();
    assert_eq!(found.iter().map(|(base_offset, _)| *base_offset).collect::<Vec<_>>(), starts);
    match expected.last() {
        Some(last) => {
            assert!(last.next_offset() <= stable);
            assert_eq!(read.aborted, oracle.aborted(offset, last.next_offset()));
        }
        None => assert!(read.aborted.is_empty()),
    }
    read
}

/// Reads as Kafka's consumer does: a producer's batches are left out from where its aborted transaction begins up
/// to its abort marker. Returns the base offsets of what is left.
fn consume(fixture: &Fixture, oracle: &Oracle) -> Vec<i64> {
    let mut consumed = Vec::new();
    let mut offset = 0;
    loop {
        let mut read = read(fixture, oracle, offset, 300);
        if read.records.is_empty() {
            return consumed;
        }
        read.aborted.sort_by_key(|aborted| aborted.first_offset);
        let mut aborted = read.aborted.iter().peekable();
        let mut skipped = BTreeSet::new();
        for batch in batch::batches(&read.records) {
            let header = *batch.unwrap().header();
            while let Some(begun) = aborted.next_if(|begun| begun.first_offset <= header.last_offset()) {
                skipped.insert(begun.producer_id);
            }
            if header.is_control() {
                skipped.remove(&header.producer_id);
            } else if !header.is_transactional() || !skipped.contains(&header.producer_id) {
                consumed.push(header.base_offset);
            }
            offset = header.next_offset();
        }
    }
}
