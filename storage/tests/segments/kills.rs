//! A kill at every file operation.

use ottla_storage::{
    LogStart,
    faults::{Fault, FaultyDisk},
};

use crate::fixture::{END, Fixture, even_batches};

/// Lets `act` be killed at each of its operations in turn, and looks at what the next start finds.
fn kill_everywhere(act: impl Fn(&Fixture), check: impl Fn(&Fixture)) {
    for after in 0.. {
        let mut fixture = Fixture::new();
        fixture.log().flush().unwrap();
        let disk = FaultyDisk::watch(fixture.dir.path(), after);
        disk.fault_after(after, Fault::Kill);
        act(&fixture);
        let was_killed = disk.is_dead();
        fixture.kill();
        let trace = disk.trace();
        drop(disk);
        let outcome = fixture.open(LogStart::Unclean { recovery_point: END }, 0);
        assert_eq!(outcome.truncation, None, "killed after {after}:{trace}");
        check(&fixture);
        assert_eq!(fixture.append(0).unwrap(), END);
        if !was_killed {
            assert!(after > 3, "only {after} operations");
            return;
        }
    }
}

#[test]
fn a_replacement_happens_or_it_does_not() {
    kill_everywhere(
        |fixture| drop(fixture.compact()),
        |fixture| {
            let offsets = fixture.offsets();
            let old: Vec<_> = (0..END).collect();
            let new: Vec<_> = old.iter().copied().filter(|offset| *offset >= 20 || offset % 2 == 0).collect();
            assert!(offsets == old || offsets == new, "{offsets:?}");
        },
    );
}

#[test]
fn a_replacement_that_waits_for_a_reader_is_not_lost() {
    kill_everywhere(
        |fixture| {
            let held = fixture.read(0).unwrap();
            let replaced = fixture.compact().is_ok();
            drop(held);
            let _ = fixture.log().begin_cleaning(0).map(|_| assert!(replaced));
        },
        |fixture| {
            let offsets = fixture.offsets();
            assert!(offsets.len() as i64 == END || offsets.len() == 15, "{offsets:?}");
        },
    );
}

#[test]
fn segments_go_from_the_front() {
    kill_everywhere(
        |fixture| {
            let _ = fixture.log().advance_start_offset(21);
            let _ = fixture.log().drop_segments_below_start();
        },
        |fixture| {
            let start = fixture.log().start_offset();
            assert!([0, 10, 20].contains(&start));
            assert_eq!(fixture.offsets(), (start..END).collect::<Vec<_>>());
        },
    );
}

#[test]
fn a_start_that_is_killed_is_repeated() {
    const UNKNOWN: LogStart = LogStart::Unclean { recovery_point: 0 };
    for after in 0.. {
        let mut fixture = Fixture::new();
        fixture.kill();
        fixture.write("0.log.swap", &even_batches(0, 20));
        fixture.write("0.index.swap", b"");
        fixture.write("0.timeindex.swap", b"");
        fixture.write("20.index.cleaned", b"");
        fixture.write("5.log.deleted", b"");
        let disk = FaultyDisk::watch(fixture.dir.path(), after);
        disk.fault_after(after, Fault::Kill);
        let opened = fixture.try_open(UNKNOWN, 21).is_ok();
        let was_killed = disk.is_dead();
        fixture.kill();
        drop(disk);
        fixture.open(UNKNOWN, 21);
        assert_eq!(fixture.offsets(), [21, 22, 23, 24], "killed after {after}");
        assert!(was_killed || opened);
        if !was_killed {
            assert!(after > 10, "only {after} operations");
            return;
        }
    }
}

#[test]
fn a_cut_that_is_killed_is_repeated() {
    const UNKNOWN: LogStart = LogStart::Unclean { recovery_point: 0 };
    for after in 0.. {
        let mut fixture = Fixture::new();
        fixture.kill();
        fixture.damage(4);
        let disk = FaultyDisk::watch(fixture.dir.path(), after);
        disk.fault_after(after, Fault::Kill);
        let _ = fixture.try_open(UNKNOWN, 0);
        let was_killed = disk.is_dead();
        fixture.kill();
        drop(disk);
        fixture.open(UNKNOWN, 0);
        assert_eq!(fixture.offsets(), [0, 1, 2, 3], "killed after {after}");
        if !was_killed {
            assert!(after > 5, "only {after} operations");
            return;
        }
    }
}
