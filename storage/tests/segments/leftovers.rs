//! What a kill leaves, Ottla's or Kafka's.

use std::fs;

use ottla_storage::LogStart;

use crate::fixture::{END, Fixture, even_batches};

fn opened_with(prepare: impl Fn(&Fixture)) -> Fixture {
    let mut fixture = Fixture::new();
    let start = fixture.close();
    prepare(&fixture);
    fixture.open(start, 0);
    let with_suffix = fixture.names().into_iter().find(|name| name.split('.').count() > 2);
    assert_eq!(with_suffix, None);
    fixture
}

fn compacted() -> Vec<i64> {
    (0..END).filter(|offset| *offset >= 20 || offset % 2 == 0).collect()
}

#[test]
fn deleted_and_cleaned_files_are_removed() {
    let fixture = opened_with(|fixture| {
        fixture.write("0.log.deleted", b"old");
        fixture.write("5.snapshot.deleted", b"old");
        fixture.write("10.log.cleaned", &even_batches(10, 20));
        fixture.write("10.index.cleaned", b"");
    });
    assert_eq!(fixture.offsets(), (0..END).collect::<Vec<_>>());
}

#[test]
fn a_complete_swap_replaces_what_it_covers() {
    let fixture = opened_with(|fixture| {
        fixture.write("0.log.swap", &even_batches(0, 20));
        fixture.write("0.index.swap", b"");
        fixture.write("0.timeindex.swap", b"");
    });
    assert_eq!(fixture.offsets(), compacted());
    assert!(!fixture.names().contains(&"10.index".to_owned()));
}

#[test]
fn a_swap_whose_old_segments_are_gone_in_part_is_finished() {
    let fixture = opened_with(|fixture| {
        fixture.write("0.log.swap", &even_batches(0, 20));
        fixture.write("0.index.swap", b"");
        fs::remove_file(fixture.path("0.log")).unwrap();
        fs::remove_file(fixture.path("10.index")).unwrap();
    });
    assert_eq!(fixture.offsets(), compacted());
}

#[test]
fn indexes_follow_a_log_that_has_its_name() {
    let fixture = opened_with(|fixture| {
        for name in ["0.log", "0.index", "0.timeindex", "10.log", "10.index", "10.timeindex"] {
            fs::remove_file(fixture.path(name)).unwrap();
        }
        fixture.write("0.log", &even_batches(0, 20));
        fixture.write("0.index.swap", b"");
        fixture.write("0.timeindex.swap", b"");
    });
    assert_eq!(fixture.offsets(), compacted());
}

#[test]
fn a_swap_beside_a_cleaned_file_is_not_complete() {
    for cleaned in ["0.timeindex.cleaned", "10.log.cleaned"] {
        let fixture = opened_with(|fixture| {
            fixture.write("10.log.swap", &even_batches(10, 20));
            fixture.write(cleaned, b"");
        });
        assert_eq!(fixture.offsets(), (0..END).collect::<Vec<_>>());
    }
}

#[test]
fn a_swap_without_records_replaces_the_segment_of_its_offset() {
    let fixture = opened_with(|fixture| {
        fixture.write("10.log.swap", b"");
        fixture.write("10.index.swap", b"");
    });
    assert_eq!(fixture.offsets(), (0..10).chain(20..END).collect::<Vec<_>>());
}

#[test]
fn indexes_without_a_log_are_removed() {
    let fixture = opened_with(|fixture| {
        fixture.write("7.index", b"orphan");
        fixture.write("7.timeindex", b"orphan");
        fixture.write("7.txnindex", b"orphan");
    });
    assert!(fixture.names().iter().all(|name| !name.starts_with("7.")));
    assert_eq!(fixture.offsets(), (0..END).collect::<Vec<_>>());
}

#[test]
fn leftovers_are_cleared_after_a_kill_too() {
    let mut fixture = Fixture::new();
    fixture.kill();
    fixture.write("0.log.swap", &even_batches(0, 20));
    fixture.write("20.log.deleted", b"old");
    assert_eq!(fixture.open(LogStart::Unclean { recovery_point: 0 }, 0).truncation, None);
    assert_eq!(fixture.offsets(), compacted());
}
