//! `ottla groups`, and `ottla consume --group`

use serde_json::json;

use crate::broker::Broker;

#[test]
fn a_group_goes_on_where_it_stopped() {
    let broker = Broker::ephemeral();
    let consume = || broker.ottla(&["consume", "t", "--group", "g", "--from-beginning", "--until-end"]).ok();
    broker.ottla_with_input(&["produce", "t"], b"one\ntwo\n").ok();
    assert_eq!(consume(), "one\ntwo\n");
    assert_eq!(consume(), "");
    broker.ottla_with_input(&["produce", "t"], b"three\n").ok();

    let described = broker.ottla(&["groups", "describe", "g", "--format", "json"]).json();
    assert_eq!((&described[0]["current_offset"], &described[0]["lag"]), (&json!(2), &json!(1)));
    assert_eq!((&described[0]["state"], &described[0]["member_id"]), (&json!("Empty"), &json!(null)));
    assert_eq!(consume(), "three\n");

    let described = broker.ottla(&["groups", "describe", "g"]);
    assert!(described.stderr.contains("group `g` has no active members"), "{described:?}");
    let table = described.ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..6], ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"]);
    assert_eq!(rows[1][..6], ["g", "t", "0", "3", "3", "0"]);
}

#[test]
fn at_most_so_many_records_are_committed_as_were_printed() {
    let broker = Broker::ephemeral();
    broker.ottla_with_input(&["produce", "t"], b"one\ntwo\nthree\n").ok();
    let consume = ["consume", "t", "--group", "g", "--from-beginning", "--max-messages", "1"];
    assert_eq!(broker.ottla(&consume).ok(), "one\n");
    assert_eq!(broker.ottla(&consume).ok(), "two\n");
}

#[test]
fn groups_are_listed_reset_and_deleted() {
    let broker = Broker::ephemeral();
    broker.ottla_with_input(&["produce", "t"], b"one\ntwo\nthree\n").ok();
    broker.ottla(&["consume", "t", "--group", "g", "--from-beginning", "--until-end"]).ok();
    let listed = broker.ottla(&["groups", "list", "--format", "json"]).json();
    assert_eq!(listed, [json!({"group": "g", "protocol_type": "consumer", "state": "Empty"})]);

    let reset = broker.ottla(&["groups", "reset-offsets", "g", "t", "--to", "1"]).ok();
    assert_eq!(reset, "group `g` reads t-0 from 1\n");
    let consumed = broker.ottla(&["consume", "t", "--group", "g", "--until-end"]).ok();
    assert_eq!(consumed, "two\nthree\n");
    let reset = broker.ottla(&["groups", "reset-offsets", "g", "t", "--to", "99", "--format", "json"]).json();
    assert_eq!(reset[0]["new_offset"], 3, "the log end");

    assert_eq!(broker.ottla(&["groups", "delete", "g"]).ok(), "group `g` deleted\n");
    assert_eq!(broker.ottla(&["groups", "list", "--format", "json"]).ok(), "");
    let error = broker.ottla(&["groups", "describe", "g"]).fails_with(4);
    assert_eq!(error, "error: group `g` does not exist\n");
    broker.ottla(&["groups", "delete", "g"]).fails_with(4);
}
