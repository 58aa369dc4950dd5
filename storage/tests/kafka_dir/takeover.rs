//! What is known after Kafka's directory was taken over, and what is left of Kafka's own files.

use std::fs;

use ottla_protocol::records::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, MetadataRecord, PartitionChangeRecord, RemoveTopicRecord,
};
use ottla_storage::kafka_uuid;
use uuid::Uuid;

use crate::kafka_log::{KafkaLog, TOPIC_ID, feature, partition, topic};
use crate::samples::{FIRST_SNAPSHOT, KRAFT_LOG, LOG, Sample, kafka_dir, names, open, partitions};

const DIRECTORY_ID: Uuid = Uuid::from_u128(9);

#[test]
fn a_directory_of_kafka_is_taken_over() {
    let dir = Sample::Standalone.dir();
    let data_dir = open(dir.path());
    let metadata = data_dir.metadata();
    let expected = [(1, 2), (2, 3), (4, 2), (5, 2), (6, 2), (7, 1)];
    assert_eq!(partitions(&data_dir), expected.map(|(number, count)| (format!("topic-{number}"), count)));
    let topic = metadata.topic("topic-2").unwrap();
    assert_eq!(kafka_uuid::format(topic.id), "XRDktD7RSLyT-t5U1ZCofQ");
    assert_eq!(topic.configs.iter().collect::<Vec<_>>(), [(&"retention.ms".to_owned(), &"2000".to_owned())]);
    let compacted = metadata.topic("topic-1").unwrap();
    assert_eq!(compacted.configs.keys().collect::<Vec<_>>(), ["cleanup.policy"]);
    // Kafka elected leaders at two starts and took one away, so this is the third epoch after the first.
    assert!(topic.partitions.values().all(|partition| partition.leader_epoch == 3));
    assert_eq!(metadata.topic("topic-7").unwrap().partitions[&0].leader_epoch, 1);
    assert_eq!(metadata.broker_configs("").unwrap()["log.retention.ms"], "99999");
    assert_eq!(metadata.broker_configs("1").unwrap()["log.cleaner.threads"], "2");
}

#[test]
fn features_are_kept_but_for_the_one_that_kafka_cannot_come_back_with() {
    let dir = Sample::Standalone.dir();
    let metadata = open(dir.path()).metadata();
    let levels: Vec<_> =
        metadata.feature_levels().iter().map(|(name, level)| (name.as_str(), *level)).collect();
    assert_eq!(
        levels,
        [
            ("group.version", 1),
            ("metadata.version", 30),
            ("share.version", 1),
            ("streams.version", 1),
            ("transaction.version", 2)
        ]
    );
}

#[test]
fn the_metadata_log_is_set_aside_and_leaves_its_voters() {
    let dir = Sample::Standalone.dir();
    drop(open(dir.path()));
    assert_eq!(names(&dir.path().join(KRAFT_LOG)), [FIRST_SNAPSHOT]);
    let aside: Vec<_> = names(dir.path()).into_iter().filter(|name| name.ends_with("-stray")).collect();
    assert_eq!(aside.len(), 1);
    assert!(aside[0].starts_with("__cluster_metadata-0."), "{aside:?}");
    assert!(dir.path().join(&aside[0]).join(LOG).exists());
}

#[test]
fn a_metadata_log_whose_voters_are_configured_is_set_aside_altogether() {
    let dir = Sample::Static.dir();
    assert_eq!(partitions(&open(dir.path())), [("plain".to_owned(), 3)]);
    assert!(!dir.path().join(KRAFT_LOG).exists());
}

#[test]
fn what_was_taken_over_is_there_at_the_next_start() {
    for sample in Sample::ALL {
        let dir = sample.dir();
        let first = open(dir.path()).metadata();
        let names_then = names(dir.path());
        assert_eq!(open(dir.path()).metadata(), first, "{sample:?}");
        assert_eq!(names(dir.path()), names_then, "{sample:?}");
    }
}

#[test]
fn bootstrap_checkpoint_holds_the_truth_until_kafka_has_made_a_cluster_of_it() {
    let dir = Sample::Static.dir();
    let taken_over = open(dir.path()).metadata();
    // A Kafka that is killed while it copies `bootstrap.checkpoint` into its log.
    fs::create_dir(dir.path().join(KRAFT_LOG)).unwrap();
    let mut log = KafkaLog::default();
    log.push(&[
        MetadataRecord::BeginTransaction(BeginTransactionRecord::default()),
        feature("metadata.version", 30),
        topic("half", TOPIC_ID),
    ]);
    log.store(dir.path());
    assert_eq!(open(dir.path()).metadata(), taken_over);
    assert!(dir.path().join(KRAFT_LOG).join(LOG).exists());
}

#[test]
fn a_log_that_no_broker_has_used_is_set_aside() {
    let dir = Sample::Static.dir();
    let taken_over = open(dir.path()).metadata();
    fs::create_dir(dir.path().join(KRAFT_LOG)).unwrap();
    let mut log = KafkaLog::default();
    log.push(&[feature("metadata.version", 30)]);
    log.store(dir.path());
    assert_eq!(open(dir.path()).metadata(), taken_over);
    assert!(!dir.path().join(KRAFT_LOG).exists());
}

#[test]
fn a_controller_that_was_started_beside_the_broker_does_not_hide_what_changes_then() {
    for sample in Sample::ALL {
        let dir = sample.dir();
        let data_dir = open(dir.path());
        fs::create_dir_all(dir.path().join(KRAFT_LOG)).unwrap();
        let mut log = KafkaLog::default();
        log.push(&[feature("metadata.version", 30)]);
        log.store(dir.path());
        data_dir.commit(&[topic("later", TOPIC_ID)], 5).unwrap();
        assert!(!dir.path().join(KRAFT_LOG).join(LOG).exists());
        drop(data_dir);
        assert!(open(dir.path()).metadata().topic("later").is_some());
    }
}

#[test]
fn a_metadata_transaction_counts_when_it_has_ended() {
    let dir = kafka_dir(DIRECTORY_ID);
    let begin = || MetadataRecord::BeginTransaction(BeginTransactionRecord::default());
    let mut log = KafkaLog::of_a_cluster();
    log.push(&[begin(), topic("aborted", Uuid::from_u128(1))]);
    log.push(&[MetadataRecord::AbortTransaction(AbortTransactionRecord::default())]);
    log.push(&[begin(), topic("committed", TOPIC_ID)]);
    log.push(&[MetadataRecord::Partition(partition(DIRECTORY_ID)), MetadataRecord::EndTransaction]);
    log.push(&[begin(), MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: TOPIC_ID })]);
    log.store(dir.path());
    assert_eq!(partitions(&open(dir.path())), [("committed".to_owned(), 1)]);
}

#[test]
fn a_partition_goes_on_in_an_epoch_that_its_own_files_have_not_come_to() {
    let dir = kafka_dir(DIRECTORY_ID);
    let mut log = KafkaLog::of_a_cluster();
    let change =
        PartitionChangeRecord { topic_id: TOPIC_ID, leader: Some(-1), ..PartitionChangeRecord::default() };
    log.push(&[topic("t", TOPIC_ID), MetadataRecord::Partition(partition(DIRECTORY_ID))]);
    log.push(&[MetadataRecord::PartitionChange(change)]);
    log.store(dir.path());
    fs::create_dir(dir.path().join("t-0")).unwrap();
    fs::write(dir.path().join("t-0/leader-epoch-checkpoint"), "0\n2\n0 0\n8 5\n").unwrap();
    let partition = open(dir.path()).metadata().topic("t").unwrap().partitions[&0].clone();
    assert_eq!((partition.leader_epoch, partition.leader, partition.isr), (9, -1, vec![1]));
}

#[test]
fn the_directory_of_an_earlier_topic_of_that_name_is_set_aside() {
    let dir = kafka_dir(DIRECTORY_ID);
    let mut log = KafkaLog::of_a_cluster();
    log.push(&[topic("t", TOPIC_ID), MetadataRecord::Partition(partition(DIRECTORY_ID))]);
    log.store(dir.path());
    let earlier = kafka_uuid::format(Uuid::from_u128(5));
    fs::create_dir(dir.path().join("t-0")).unwrap();
    fs::write(dir.path().join("t-0/partition.metadata"), format!("version: 0\ntopic_id: {earlier}")).unwrap();
    drop(open(dir.path()));
    let names = names(dir.path());
    assert!(!names.contains(&"t-0".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("t-0.") && name.ends_with("-stray")), "{names:?}");
}

#[test]
fn replicas_that_kafka_was_moving_are_left_alone() {
    let dir = Sample::Static.dir();
    let moving = "plain-0.0123456789abcdef0123456789abcdef-future";
    fs::create_dir(dir.path().join(moving)).unwrap();
    fs::write(
        dir.path().join(moving).join("partition.metadata"),
        "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
    )
    .unwrap();
    drop(open(dir.path()));
    assert!(dir.path().join(moving).exists());
}

#[test]
fn a_directory_that_was_formatted_and_never_started_has_kafkas_features() {
    // As `kafka-storage format` writes it.
    let dir = Sample::Standalone.dir();
    fs::remove_file(dir.path().join(KRAFT_LOG).join(LOG)).unwrap();
    fs::remove_file(dir.path().join(KRAFT_LOG).join("00000000000000000036-0000000001.checkpoint")).unwrap();
    let data_dir = open(dir.path());
    assert_eq!(data_dir.metadata().topics().count(), 0);
    assert_eq!(names(&dir.path().join(KRAFT_LOG)), [FIRST_SNAPSHOT]);
}
