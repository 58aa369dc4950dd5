//! A kill at every operation of taking a directory over, and power cuts: the next start finds the same cluster.

use ottla_storage::faults::{Fault, FaultyDisk};
use ottla_storage::{DataDir, Durability};

use crate::samples::{KRAFT_LOG, Sample, names, open};

/// Kills the first start at its operation number `operations`; `None` when it has none of that number.
fn killed_at(sample: Sample, operations: u64) -> Option<(tempfile::TempDir, FaultyDisk)> {
    let dir = sample.dir();
    let disk = FaultyDisk::watch(dir.path(), operations);
    disk.fault_after(operations, Fault::Kill);
    let opened = DataDir::open(dir.path(), 1, Durability::Process);
    assert_eq!(opened.is_err(), disk.is_dead());
    disk.is_dead().then_some((dir, disk))
}

#[test]
fn a_kill_at_any_operation_leaves_the_cluster() {
    for sample in Sample::ALL {
        let expected = open(sample.dir().path()).metadata();
        let mut kills = 0;
        while let Some((dir, disk)) = killed_at(sample, kills) {
            drop(disk);
            assert_eq!(open(dir.path()).metadata(), expected, "{sample:?}, operation {kills}");
            assert_eq!(dir.path().join(KRAFT_LOG).exists(), sample == Sample::Standalone);
            let left = names(dir.path());
            assert!(!left.iter().any(|name| name.ends_with("-future")), "{left:?}");
            kills += 1;
        }
        assert!(kills > 5, "{sample:?}: {kills} operations");
    }
}

#[test]
fn a_power_cut_at_any_operation_leaves_the_cluster() {
    if !FaultyDisk::CUTS_POWER {
        return;
    }
    for sample in Sample::ALL {
        let expected = open(sample.dir().path()).metadata();
        let mut cuts = 0;
        while let Some((_dir, disk)) = killed_at(sample, cuts) {
            let left = tempfile::tempdir().unwrap();
            disk.cut_power(left.path()).unwrap();
            assert_eq!(
                open(left.path()).metadata(),
                expected,
                "{sample:?}, operation {cuts}{}",
                disk.trace()
            );
            cuts += 1;
        }
        assert!(cuts > 5, "{sample:?}: {cuts} operations");
    }
}
