use std::fs;

use ottla_storage::{LogStart, ReadError, StartOffsetError, TailFault};

use crate::fixture::{END, Fixture};

const UNKNOWN: LogStart = LogStart::Unclean { recovery_point: 0 };

#[test]
fn nothing_is_read_below_the_start() {
    let fixture = Fixture::new();
    assert!(fixture.log().advance_start_offset(13).unwrap());
    assert!(!fixture.log().advance_start_offset(12).unwrap());
    assert_eq!(fixture.log().start_offset(), 13);
    assert!(matches!(fixture.read(12), Err(ReadError::OffsetOutOfRange { start: 13, .. })));
    assert_eq!(fixture.offsets(), (13..END).collect::<Vec<_>>());
    let beyond = fixture.log().advance_start_offset(END + 1);
    assert!(matches!(beyond, Err(StartOffsetError::OffsetOutOfRange { end: END, .. })));
    assert!(fixture.log().advance_start_offset(END).unwrap());
    assert!(fixture.read(END).unwrap().is_empty());
}

#[test]
fn segments_below_the_start_go() {
    let mut fixture = Fixture::new();
    fixture.log().advance_start_offset(20).unwrap();
    assert_eq!(fixture.log().drop_segments_below_start().unwrap(), 2);
    assert_eq!(fixture.log().drop_segments_below_start().unwrap(), 0);
    assert_eq!(fixture.names(), ["20.log", "20.snapshot"]);
    fixture.kill();
    fixture.open(UNKNOWN, 20);
    assert_eq!(fixture.offsets(), (20..END).collect::<Vec<_>>());
}

#[test]
fn a_segment_that_is_read_goes_later_and_those_behind_wait_for_it() {
    let fixture = Fixture::new();
    let held = fixture.read(3).unwrap();
    fixture.log().advance_start_offset(20).unwrap();
    fixture.log().drop_segments_below_start().unwrap();
    assert!(matches!(fixture.read(3), Err(ReadError::OffsetOutOfRange { .. })));
    assert!(fixture.names().contains(&"10.log".to_owned()));
    drop(held);
    assert_eq!(fixture.names(), ["20.log", "20.snapshot"]);
}

#[test]
fn a_start_finishes_what_was_not_dropped() {
    let mut fixture = Fixture::new();
    let start = fixture.close();
    fixture.open(start, 12);
    assert_eq!(fixture.log().start_offset(), 12);
    assert!(!fixture.names().contains(&"0.log".to_owned()));
    assert_eq!(fixture.offsets(), (12..END).collect::<Vec<_>>());
}

#[test]
fn leader_epochs_begin_where_the_log_does() {
    let mut fixture = Fixture::new();
    fixture.append(4).unwrap();
    let epochs = fixture.partition_dir().join("leader-epoch-checkpoint");
    assert_eq!(fs::read_to_string(&epochs).unwrap(), "0\n2\n0 0\n4 25\n");
    fixture.log().advance_start_offset(13).unwrap();
    assert_eq!(fs::read_to_string(&epochs).unwrap(), "0\n2\n0 13\n4 25\n");
    fixture.kill();
    fixture.open(UNKNOWN, 25);
    assert_eq!(fs::read_to_string(&epochs).unwrap(), "0\n1\n4 25\n");
    assert_eq!(fixture.log().leader_epoch_at(25).unwrap(), Some(4));
}

#[test]
fn offsets_that_were_given_out_are_not_given_out_again() {
    for clean in [true, false] {
        let mut fixture = Fixture::new();
        let start = if clean { fixture.close() } else { UNKNOWN };
        fixture.kill();
        for name in ["10.log", "20.log"] {
            fs::remove_file(fixture.path(name)).unwrap();
        }
        let start = if clean { LogStart::Clean { end_offset: 10 } } else { start };
        let outcome = fixture.open(start, 17);
        assert!(matches!(outcome.truncation.unwrap().reason, TailFault::Lost { recorded: 17 }));
        assert_eq!((fixture.log().start_offset(), fixture.log().end_offset()), (17, 17));
        assert_eq!(fixture.append(0).unwrap(), 17);
        assert_eq!(fixture.names(), ["17.log"]);
    }
}
