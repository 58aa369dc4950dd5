//! A log whose process is killed, or whose power is cut, at any operation on a file still knows its transactions.

use ottla_storage::{
    AppendError, LogConfig, LogStart, MarkerError,
    faults::{Fault, FaultyDisk},
};
use proptest::prelude::*;

use crate::fixture::{Abort, Batch, Commit, Fixture, marker};
use crate::model::check;
use crate::oracle::{Kind, Oracle};

/// `flush.messages`, as it is by default.
const NEVER_FLUSHED: i64 = i64::MAX;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// The producer's next batch; in its transaction, if one is open.
    Send {
        id: i64,
        count: i32,
        transactional: bool,
    },
    End {
        id: i64,
        abort: bool,
    },
    Flush,
    Restart,
}

/// The process is gone. What was under way may be in the log or not.
struct Killed {
    under_way: Option<Kind>,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..3_i64, 1..4_i32, any::<bool>())
            .prop_map(|(id, count, transactional)| Op::Send { id, count, transactional }),
        4 => (0..3_i64, any::<bool>()).prop_map(|(id, abort)| Op::End { id, abort }),
        2 => Just(Op::Flush),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..40)
}

struct Life {
    fixture: Fixture,
    disk: FaultyDisk,
    oracle: Oracle,
    recovery_point: i64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_kill_at_any_operation_leaves_what_was_acknowledged(
        ops in ops(), operations in 0..150_u64, seed in any::<u64>(),
    ) {
        let mut life = Life::begin(NEVER_FLUSHED, seed);
        life.disk.fault_after(operations, Fault::Kill);
        let under_way = life.run(&ops);
        life.disk.kill();
        life.check_after(under_way, |fixture, _| {
            fixture.stop();
        });
    }

    /// With `flush.messages=1`.
    #[test]
    fn a_power_cut_at_any_operation_leaves_what_was_acknowledged(
        ops in ops(), operations in 0..150_u64, seed in any::<u64>(),
    ) {
        if !FaultyDisk::CUTS_POWER {
            return Ok(());
        }
        let mut life = Life::begin(1, seed);
        life.disk.fault_after(operations, Fault::Kill);
        let under_way = life.run(&ops);
        life.check_after(under_way, Fixture::lose_power);
    }
}

impl Life {
    fn begin(flush_messages: i64, seed: u64) -> Life {
        let fixture = Fixture::with(LogConfig { segment_bytes: 400, flush_messages, ..LogConfig::default() });
        let disk = FaultyDisk::watch(fixture.data_dir(), seed);
        Life { fixture, disk, oracle: Oracle::default(), recovery_point: 0 }
    }

    fn check_after(self, under_way: Option<Kind>, end: fn(&mut Fixture, &FaultyDisk)) {
        let Life { mut fixture, disk, mut oracle, recovery_point } = self;
        end(&mut fixture, &disk);
        drop(disk);
        fixture.open(LogStart::Unclean { recovery_point });
        if fixture.log().end_offset() > oracle.end() {
            oracle.push(under_way.expect("only what was under way may be there, too"));
        }
        check(&fixture, &oracle);
    }

    /// What was under way when the process was killed.
    fn run(&mut self, ops: &[Op]) -> Option<Kind> {
        for &op in ops {
            if let Err(Killed { under_way }) = self.step(op) {
                return under_way;
            }
        }
        None
    }

    fn step(&mut self, op: Op) -> Result<(), Killed> {
        match op {
            Op::Send { id, count, transactional } => self.send(id, count, transactional),
            Op::End { id, abort } => self.end(id, abort),
            Op::Flush => self.flush(),
            Op::Restart => {
                // As the data directory does it, where power cuts are survived.
                self.flush()?;
                let closed = self.fixture.log().close().map_err(|_| Killed { under_way: None })?;
                if self.disk.is_dead() {
                    return Err(Killed { under_way: None });
                }
                self.fixture.reopen(LogStart::Clean { end_offset: closed.end_offset });
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), Killed> {
        let flushed = self.fixture.log().flush();
        if flushed.is_err() || self.disk.is_dead() {
            return Err(Killed { under_way: None });
        }
        self.recovery_point = self.fixture.log().recovery_point();
        Ok(())
    }

    fn send(&mut self, id: i64, count: i32, transactional: bool) -> Result<(), Killed> {
        let known = self.oracle.known();
        let known = known.get(&id);
        let epoch = known.map_or(0, |known| known.epoch);
        let last = known.and_then(|known| known.batches.back());
        let base_sequence = last.map_or(0, |(batch, _)| batch.last_sequence() + 1);
        let transactional = transactional || known.is_some_and(|known| known.open.is_some());
        let batch = Batch { id, epoch, base_sequence, count, transactional, timestamp: 1000 };
        match self.fixture.append(batch) {
            Err(AppendError::Sequence(error)) => panic!("{error}"),
            appended => self.acknowledge(appended.is_ok(), Kind::Data(batch)),
        }
    }

    fn end(&mut self, id: i64, abort: bool) -> Result<(), Killed> {
        let epoch = self.oracle.known().get(&id).map_or(0, |known| known.epoch + 1);
        let marker = marker(id, epoch, if abort { Abort } else { Commit });
        match self.fixture.end(marker) {
            Err(MarkerError::Producer(error)) => panic!("{error}"),
            appended => self.acknowledge(appended.is_ok(), Kind::Marker(marker)),
        }
    }

    /// A process that is killed between two operations acknowledges nothing.
    fn acknowledge(&mut self, appended: bool, kind: Kind) -> Result<(), Killed> {
        let log = self.fixture.log();
        let is_synced = log.config().flush_messages > 1 || log.sync().is_ok();
        if !appended || !is_synced || self.disk.is_dead() {
            return Err(Killed { under_way: Some(kind) });
        }
        self.oracle.push(kind);
        Ok(())
    }
}
