//! `ottla produce`, `ottla consume` and `ottla offsets`

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::json;

use crate::broker::Broker;
use crate::run::ottla;

const ALL: [&str; 2] = ["--from-beginning", "--until-end"];

#[test]
fn lines_become_records_and_lines_again() {
    let broker = Broker::ephemeral();
    let ran = broker.ottla_with_input(&["produce", "t"], "first\r\n\nthird, ünïcode\nno line end".as_bytes());
    assert!(ran.stderr.starts_with("4 records written to t in "), "{ran:?}");
    assert_eq!(ran.ok(), "");
    let consumed = broker.ottla(&[&["consume", "t"], &ALL[..]].concat()).ok();
    assert_eq!(consumed, "first\n\nthird, ünïcode\nno line end\n");
}

#[test]
fn keys_and_headers_are_parsed_and_printed() {
    let broker = Broker::ephemeral();
    let produce = ["produce", "t", "--parse-headers", "--key-separator", ":", "--null-marker", "NULL"];
    let fixed = ["--header", "origin:lab", "--format", "json"];
    let written =
        broker.ottla_with_input(&[&produce[..], &fixed].concat(), b"trace:7\talice:{\"a\":1}\n\tNULL:NULL\n");
    assert_eq!(written.json()[0]["records"], 2);

    let parts = ["--print-key", "--print-headers", "--print-offset", "--print-partition", "--separator", "|"];
    let consumed = broker.ottla(&[&["consume", "t"], &ALL[..], &parts].concat()).ok();
    let expected = "Partition:0|Offset:0|trace:7,origin:lab|alice|{\"a\":1}\nPartition:0|Offset:1|origin:lab|null|null\n";
    assert_eq!(consumed, expected);

    let records = broker.ottla(&[&["consume", "t", "--format", "json"], &ALL[..]].concat()).json();
    assert_eq!(
        records[0]["headers"],
        json!([{"name": "trace", "value": "7"}, {"name": "origin", "value": "lab"}])
    );
    assert_eq!((&records[0]["key"], &records[0]["value"]), (&json!("alice"), &json!("{\"a\":1}")));
    assert_eq!((&records[1]["key"], &records[1]["value"]), (&json!(null), &json!(null)));
    assert!(records[1]["timestamp_ms"].as_i64().unwrap() > 1_700_000_000_000);
}

#[test]
fn a_line_without_its_separator_is_refused() {
    let broker = Broker::ephemeral();
    let error =
        broker.ottla_with_input(&["produce", "t", "--key-separator", "\\t"], b"a\tb\nno tab\n").fails_with(2);
    assert_eq!(error, "error: line 2: no `\\t` after a key in `no tab`\n");
    let written = broker.ottla(&[&["consume", "t"], &ALL[..]].concat()).ok();
    assert_eq!(written, "b\n", "what stood before that line");
}

#[test]
fn bytes_that_are_no_text_are_hexadecimal_in_json() {
    let broker = Broker::ephemeral();
    broker.ottla_with_input(&["produce", "t"], &[0, 255, b'\n']).ok();
    let records = broker.ottla(&[&["consume", "t", "--format", "json"], &ALL[..]].concat()).json();
    assert_eq!(records[0]["value"], json!({"hex": "00ff"}));
}

#[test]
fn files_are_written_with_every_codec() {
    let broker = Broker::ephemeral();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("five thousand lines");
    let text: String =
        (0..5_000).map(|number| format!("line {number} of a text that repeats itself\n")).collect();
    std::fs::write(&file, &text).unwrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produce = ["produce", codec, "--compression", codec, "--batch-size", "20000", "--file"];
        broker.ottla(&[&produce[..], &[file.to_str().unwrap()]].concat()).ok();
        assert_eq!(broker.ottla(&[&["consume", codec], &ALL[..]].concat()).ok(), text, "{codec}");
    }
}

#[test]
fn reading_begins_and_ends_where_it_is_told_to() {
    let broker = Broker::ephemeral();
    broker.ottla(&["topics", "create", "t", "--partitions", "2"]).ok();
    for partition in ["0", "1"] {
        let lines: String = (0..5).map(|number| format!("{partition}.{number}\n")).collect();
        broker.ottla_with_input(&["produce", "t", "--partition", partition], lines.as_bytes()).ok();
    }
    let consume = |args: &[&str]| broker.ottla(&[&["consume", "t"], args].concat()).ok();
    let from_3 = consume(&["--partition", "1", "--offset", "3", "--until-end"]);
    assert_eq!(from_3, "1.3\n1.4\n");
    assert_eq!(consume(&["--partition", "0", "--offset", "earliest", "--max-messages", "2"]), "0.0\n0.1\n");
    assert_eq!(consume(&["--until-end"]), "", "only new records without --from-beginning");
    assert_eq!(consume(&["--from-beginning", "--timeout-ms", "100"]).lines().count(), 10);
    assert_eq!(consume(&["--partition", "0", "--offset", "99", "--until-end"]), "");

    let error = broker.ottla(&["consume", "t", "--partition", "7"]).fails_with(4);
    assert_eq!(error, "error: topic `t` has no partition 7\n");
    let error = broker.ottla(&["consume", "missing", "--until-end"]).fails_with(4);
    assert_eq!(error, "error: topic `missing` does not exist\n");
    let error = broker.ottla_with_input(&["produce", "t", "--partition", "7"], b"x\n").fails_with(4);
    assert_eq!(error, "error: topic `t` has no partition 7; it has 2\n");
}

#[test]
fn offsets_are_shown_by_place_and_time() {
    let broker = Broker::ephemeral();
    broker.ottla(&["topics", "create", "t", "--partitions", "2"]).ok();
    broker.ottla_with_input(&["produce", "t", "--partition", "1"], b"a\nb\nc\n").ok();
    assert_eq!(broker.ottla(&["offsets", "t"]).ok(), "t:0:0:0\nt:1:0:3\n");
    assert_eq!(broker.ottla(&["offsets", "t", "--time", "latest", "--partition", "1"]).ok(), "t:1:3\n");
    assert_eq!(broker.ottla(&["offsets", "t", "--time", "0"]).ok(), "t:0:\nt:1:0\n");
    let newest = broker.ottla(&["offsets", "t", "--time", "max-timestamp", "--format", "json"]).json();
    assert_eq!(newest[0]["offset"], json!(null));
    assert!(newest[1]["timestamp_ms"].as_i64().unwrap() > 1_700_000_000_000);
    broker.ottla(&["offsets", "missing"]).fails_with(4);
    broker.ottla(&["offsets", "t", "--time", "yesterday"]).fails_with(2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let broker = Broker::ephemeral();
    let lines = "a line\n".repeat(100_000);
    broker.ottla_with_input(&["produce", "t"], lines.as_bytes()).ok();
    let mut command = ottla();
    command.args(["consume", "t", "--from-beginning", "--bootstrap-server", &broker.bootstrap_servers]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "a line\n");
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!((child.wait().unwrap().code(), error.as_str()), (Some(0), ""));
}
