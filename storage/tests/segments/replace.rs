use ottla_protocol::batch::{self, BatchHeader};
use ottla_storage::{LogStart, ReplaceError};

use crate::fixture::{END, Fixture};

fn compacted() -> Vec<i64> {
    (0..END).filter(|offset| *offset >= 20 || offset % 2 == 0).collect()
}

#[test]
fn readers_and_the_next_start_get_the_new_segment() {
    let mut fixture = Fixture::new();
    fixture.compact().unwrap();
    assert_eq!(fixture.offsets(), compacted());
    assert_eq!(fixture.names(), ["0.index", "0.log", "0.timeindex", "20.log", "20.snapshot"]);
    for clean in [true, false] {
        let start = if clean { fixture.close() } else { LogStart::Unclean { recovery_point: 0 } };
        fixture.kill();
        assert_eq!(fixture.open(start, 0).truncation, None);
        assert_eq!(fixture.offsets(), compacted());
    }
    assert_eq!(fixture.append(0).unwrap(), END);
}

#[test]
fn an_old_segment_stays_for_as_long_as_it_is_read() {
    let fixture = Fixture::new();
    let held = fixture.read(13).unwrap();
    fixture.compact().unwrap();
    assert!(fixture.names().contains(&"0.log.swap".to_owned()));
    assert_eq!(fixture.offsets(), compacted());
    assert_eq!(batch::batches(&held).next().unwrap().unwrap().base_offset(), 13);
    assert!(matches!(fixture.log().begin_cleaning(0), Err(ReplaceError::Pending { .. })));
    drop(held);
    assert!(!fixture.names().contains(&"0.log.swap".to_owned()));
    assert_eq!(fixture.offsets(), compacted());
    fixture.log().begin_cleaning(0).unwrap();
}

#[test]
fn a_segment_is_replaced_twice() {
    let fixture = Fixture::new();
    fixture.compact().unwrap();
    let held = fixture.read(0).unwrap();
    let cleaned = fixture.clean(0, 4).unwrap();
    fixture.log().replace_segments(cleaned, 0..=0).unwrap();
    assert_eq!(fixture.offsets()[..3], [0, 2, 20]);
    assert_eq!(BatchHeader::parse(&held).unwrap().base_offset, 0);
    drop(held);
    assert_eq!(fixture.names()[..3], ["0.index", "0.log", "0.timeindex"]);
    assert_eq!(fixture.offsets()[..3], [0, 2, 20]);
}

#[test]
fn everything_in_a_segment_can_go() {
    let mut fixture = Fixture::new();
    let cleaned = fixture.clean(10, 10).unwrap();
    fixture.log().replace_segments(cleaned, 10..=10).unwrap();
    let expected: Vec<_> = (0..10).chain(20..END).collect();
    assert_eq!(fixture.offsets(), expected);
    let start = fixture.close();
    fixture.open(start, 0);
    assert_eq!(fixture.offsets(), expected);
    fixture.kill();
    assert_eq!(fixture.open(LogStart::Unclean { recovery_point: 0 }, 0).truncation, None);
    assert_eq!(fixture.offsets(), expected);
}

#[test]
fn segments_that_are_gone_are_not_replaced() {
    let fixture = Fixture::new();
    let cleaned = fixture.clean(0, 20).unwrap();
    fixture.log().advance_start_offset(10).unwrap();
    fixture.log().drop_segments_below_start().unwrap();
    let refused = fixture.log().replace_segments(cleaned, 0..=10);
    assert!(matches!(refused, Err(ReplaceError::Changed { .. })));
    assert!(fixture.names().iter().all(|name| !name.contains("cleaned")));
    assert_eq!(fixture.offsets(), (10..END).collect::<Vec<_>>());
}

#[test]
fn the_segment_that_is_appended_to_is_not_replaced() {
    let fixture = Fixture::new();
    let cleaned = fixture.clean(10, 25).unwrap();
    let refused = fixture.log().replace_segments(cleaned, 10..=20);
    assert!(matches!(refused, Err(ReplaceError::Changed { .. })));
}
