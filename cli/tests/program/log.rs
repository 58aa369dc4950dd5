//! `ottla log dump`

use serde_json::json;

use crate::broker::Broker;
use crate::run::run;

#[test]
fn batches_records_and_damages_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::serve(&["--data-dir", dir.path().to_str().unwrap()]);
    for _ in 0..3 {
        broker.ottla_with_input(&["produce", "t", "--key-separator", ":"], b"k:one\nk:two\n").ok();
    }
    drop(broker);
    let partition = dir.path().join("t-0");
    let partition = partition.to_str().unwrap();

    let lines = run(&["log", "dump", "--records", partition]).ok();
    let batches: Vec<&str> = lines.lines().filter(|line| line.starts_with("baseOffset: ")).collect();
    assert_eq!(batches.len(), 3);
    assert!(batches[2].starts_with("baseOffset: 4 lastOffset: 5 count: 2 "), "{}", batches[2]);
    assert!(batches.iter().all(|batch| batch.ends_with("isvalid: true")));
    assert!(lines.contains("| offset: 5 timestamp: "), "{lines}");
    assert!(lines.contains(" headers: 0 key: k value: two\n"), "{lines}");

    let objects = run(&["log", "dump", "--format", "json", partition]).json();
    let offsets: Vec<_> =
        objects.iter().filter(|object| object.get("crc").is_some()).map(|b| &b["base_offset"]).collect();
    assert_eq!(offsets, [&json!(0), &json!(2), &json!(4)]);

    let segment = format!("{partition}/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = run(&["log", "dump", &segment]);
    assert_eq!(damaged.code, Some(1));
    assert!(damaged.stderr.contains("1 damaged places"), "{damaged:?}");
    assert!(damaged.stdout.contains("isvalid: false\nDAMAGED "), "{damaged:?}");
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let error = run(&["log", "dump", file.to_str().unwrap()]).fails_with(2);
    assert!(error.contains("not a .log, .index or .timeindex file"), "{error}");
    let missing = dir.path().join("00000000000000000000.log");
    let error = run(&["log", "dump", missing.to_str().unwrap()]).fails_with(1);
    assert!(error.contains("00000000000000000000.log"), "{error}");
}
