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
