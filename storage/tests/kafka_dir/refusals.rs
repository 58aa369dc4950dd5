//! What one node cannot serve is refused before anything is changed, so that Kafka goes on with it.

use std::fs;
use std::path::Path;

use ottla_protocol::records::control::ControlRecordType;
use ottla_protocol::records::metadata::{MetadataRecord, PartitionRecord};
use ottla_storage::{AdoptionError, DataDirError};
use uuid::Uuid;

use crate::kafka_log::{KafkaLog, TOPIC_ID, partition, topic};
use crate::samples::{KRAFT_LOG, kafka_dir, names, refused};

const DIRECTORY_ID: Uuid = Uuid::from_u128(9);

fn with_partition(record: PartitionRecord) -> tempfile::TempDir {
    let dir = kafka_dir(DIRECTORY_ID);
    let mut log = KafkaLog::of_a_cluster();
    log.push(&[topic("t", TOPIC_ID), MetadataRecord::Partition(record)]);
    log.store(dir.path());
    fs::write(dir.path().join(".kafka_cleanshutdown"), r#"{"version":0,"brokerEpoch":7}"#).unwrap();
    dir
}

#[track_caller]
fn is_refused(dir: &Path, expected: impl FnOnce(&AdoptionError) -> bool, next_step: &str) {
    let before = names(dir);
    let error = refused(dir);
    let text = error.to_string();
    assert!(matches!(&error, DataDirError::Adoption { source, .. } if expected(source)), "{text}");
    assert!(text.contains(dir.to_str().unwrap()) && text.contains(next_step), "{text}");
    let left: Vec<_> = names(dir).into_iter().filter(|name| name != ".lock").collect();
    assert_eq!(left, before);
    assert!(dir.join(KRAFT_LOG).exists());
}

#[test]
fn replicas_on_other_nodes() {
    let dir = with_partition(PartitionRecord { replicas: vec![1, 2], ..partition(DIRECTORY_ID) });
    is_refused(
        dir.path(),
        |error| matches!(error, AdoptionError::OtherReplicas { replicas, node_id: 1, .. } if *replicas == [1, 2]),
        "kafka-reassign-partitions",
    );
}

#[test]
fn partitions_in_other_log_directories() {
    let elsewhere = Uuid::from_u128(10);
    let dir = with_partition(partition(elsewhere));
    is_refused(
        dir.path(),
        |error| matches!(error, AdoptionError::OtherLogDir { directory_id, .. } if *directory_id == elsewhere),
        "kafka-reassign-partitions",
    );
}

#[test]
fn a_directory_that_kafka_has_not_chosen_yet_is_this_one() {
    for reserved in 0..=2 {
        let dir = with_partition(partition(Uuid::from_u128(reserved)));
        let metadata = crate::samples::open(dir.path()).metadata();
        assert_eq!(metadata.topic("t").unwrap().partitions[&0].directories, [DIRECTORY_ID]);
    }
}

#[test]
fn a_quorum_of_several_controllers() {
    let dir = kafka_dir(DIRECTORY_ID);
    let mut log = KafkaLog::of_a_cluster();
    let leader_change = [&[0, 0, 0, 0, 0, 2, 3][..], &[0, 0, 0, 1, 0], &[0, 0, 0, 2, 0], &[1, 0]].concat();
    log.push_control(ControlRecordType::LeaderChange, &leader_change);
    log.store(dir.path());
    is_refused(
        dir.path(),
        |error| matches!(error, AdoptionError::OtherVoters { voters, .. } if *voters == [1, 2]),
        "broker and controller in one",
    );
}
