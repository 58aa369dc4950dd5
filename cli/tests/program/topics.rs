//! `ottla topics`

use crate::broker::Broker;

#[test]
fn topics_are_created_described_grown_and_deleted() {
    let broker = Broker::ephemeral();
    let created =
        broker.ottla(&["topics", "create", "b", "a", "--partitions", "3", "--set", "retention.ms=60000"]);
    assert_eq!(created.ok(), "topic `b` created\ntopic `a` created\n");
    assert_eq!(broker.ottla(&["topics", "list"]).ok(), "a\nb\n");

    let described = broker.ottla(&["topics", "describe", "a"]).ok();
    let lines: Vec<&str> = described.lines().collect();
    assert!(lines[0].starts_with("Topic: a\tTopicId: ") && lines[0].ends_with("Configs: retention.ms=60000"));
    assert_eq!(lines[3], "\tTopic: a\tPartition: 2\tLeader: 1\tReplicas: 1\tIsr: 1");

    broker.ottla(&["topics", "add-partitions", "a", "--total", "5"]).ok();
    let described = broker.ottla(&["topics", "describe", "a", "--format", "json"]).json();
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 5);
    assert_eq!(described[0]["configs"]["retention.ms"], "60000");
    assert_eq!(described[0]["topic_id"].as_str().unwrap().len(), 22);

    assert_eq!(broker.ottla(&["topics", "delete", "a", "b"]).ok(), "topic `a` deleted\ntopic `b` deleted\n");
    assert_eq!(broker.ottla(&["topics", "list"]).ok(), "");
}

#[test]
fn a_topic_that_exists_is_an_error_in_kafkas_words() {
    let broker = Broker::ephemeral();
    broker.ottla(&["topics", "create", "t"]).ok();
    let error = broker.ottla(&["topics", "create", "t"]).fails_with(5);
    assert!(error.contains("Topic 't' already exists. (TOPIC_ALREADY_EXISTS)"), "{error}");
    let again = broker.ottla(&["topics", "create", "t", "--if-not-exists", "--format", "json"]).json();
    assert_eq!(again[0]["result"], "exists already");
}

#[test]
fn what_does_not_exist_is_an_error_of_its_own() {
    let broker = Broker::ephemeral();
    let error = broker.ottla(&["topics", "describe", "missing"]).fails_with(4);
    assert_eq!(error, "error: topic `missing` does not exist\n");
    let error = broker.ottla(&["topics", "delete", "missing"]).fails_with(4);
    assert!(error.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
    let unchanged = broker.ottla(&["topics", "delete", "missing", "--if-exists"]).ok();
    assert_eq!(unchanged, "topic `missing` does not exist\n");
    assert_eq!(broker.ottla(&["topics", "list"]).ok(), "", "asking for a topic does not make it");
}

#[test]
fn the_brokers_refusals_are_passed_on() {
    let broker = Broker::ephemeral();
    let error = broker.ottla(&["topics", "create", "not/a/name"]).fails_with(1);
    assert!(error.contains("INVALID_TOPIC_EXCEPTION"), "{error}");
    let error = broker.ottla(&["topics", "create", "t", "--set", "retention.ms=soon"]).fails_with(1);
    assert!(error.contains("retention.ms"), "{error}");
    let error = broker.ottla(&["topics", "create", "t", "--replication-factor", "2"]).fails_with(1);
    assert!(error.contains("INVALID_REPLICATION_FACTOR"), "{error}");
    broker.ottla(&["topics", "create", "t", "--partitions", "0"]).fails_with(2);
}

#[test]
fn records_are_deleted_up_to_an_offset_or_the_end() {
    let broker = Broker::ephemeral();
    broker.ottla(&["topics", "create", "t", "--partitions", "2"]).ok();
    for partition in ["0", "1"] {
        broker.ottla_with_input(&["produce", "t", "--partition", partition], b"a\nb\nc\n").ok();
    }
    let deleted = broker.ottla(&["topics", "delete-records", "t", "--before", "0:2", "1:end"]).ok();
    assert_eq!(deleted, "partition: t-0\tlow_watermark: 2\npartition: t-1\tlow_watermark: 3\n");
    assert_eq!(broker.ottla(&["offsets", "t"]).ok(), "t:0:2:3\nt:1:3:3\n");
    assert_eq!(broker.ottla(&["consume", "t", "--from-beginning", "--until-end"]).ok(), "c\n");

    let repeated =
        ["topics", "delete-records", "t", "--before", "0:-1", "--before", "1:0", "--format", "json"];
    let deleted = broker.ottla(&repeated).json();
    assert_eq!(deleted[0]["low_watermark"], 3);
    assert_eq!((&deleted[1]["partition"], &deleted[1]["low_watermark"]), (&1.into(), &3.into()));
}

#[test]
fn records_that_cannot_be_deleted_are_named() {
    let broker = Broker::ephemeral();
    broker.ottla(&["topics", "create", "t", "--partitions", "2"]).ok();
    broker.ottla(&["topics", "create", "compacted", "--set", "cleanup.policy=compact"]).ok();
    let delete = |args: &[&str]| broker.ottla(&[&["topics", "delete-records"], args].concat());

    let error = delete(&["missing", "--before", "0:1"]).fails_with(4);
    assert_eq!(error, "error: topic `missing` does not exist\n");
    let error = delete(&["t", "--before", "0:0", "7:0"]).fails_with(4);
    assert_eq!(error, "error: topic `t` has no partition 7\n");
    let error = delete(&["t", "--before", "0:1"]).fails_with(1);
    assert_eq!(error, "error: records of t-0 were not deleted: OFFSET_OUT_OF_RANGE\n");
    let error = delete(&["compacted", "--before", "0:end"]).fails_with(1);
    assert!(error.contains("POLICY_VIOLATION"), "{error}");

    for wrong in
        [&["t"][..], &["t", "--before", "0"], &["t", "--before", "0:-2"], &["t", "--before", "0:0", "0:1"]]
    {
        delete(wrong).fails_with(2);
    }
    assert_eq!(
        broker.ottla(&["topics", "list"]).ok(),
        "compacted\nt\n",
        "asking for a topic does not make it"
    );
}
