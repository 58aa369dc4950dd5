//! Records of Kafka's own topics and files, against bytes that the serializers of Kafka 4.3.1 produced.

use ottla_protocol::records::consumer_offsets::{
    ConsumerOffsetsKey, GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey,
    OffsetCommitValue,
};
use ottla_protocol::records::control::{
    ControlRecordType, EndTransactionMarker, SnapshotFooter, SnapshotHeader,
};
use ottla_protocol::records::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, ConfigResource, FeatureLevelRecord,
    MetadataRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RemoveTopicRecord,
    TopicRecord,
};
use ottla_protocol::records::quorum::{KRaftVoters, LeaderChange};
use ottla_protocol::records::transaction_state::{
    TransactionLogKey, TransactionLogValue, TransactionPartitions, TransactionStateKey,
};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

const TOPIC_ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const DIRECTORY_ID: Uuid = Uuid::from_u128(0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20);

#[test]
fn keys_of_consumer_offsets() {
    let offset = OffsetCommitKey { group: "g".into(), topic: "my-topic".into(), partition: 2 };
    let bytes = hex("000100016700086d792d746f70696300000002");
    assert_eq!(offset.encode(), bytes);
    assert_eq!(ConsumerOffsetsKey::decode(&bytes), Ok(ConsumerOffsetsKey::OffsetCommit(offset)));

    let group = GroupMetadataKey { group: "g".into() };
    let bytes = hex("0002000167");
    assert_eq!(group.encode(), bytes);
    assert_eq!(ConsumerOffsetsKey::decode(&bytes), Ok(ConsumerOffsetsKey::GroupMetadata(group)));

    let consumer_group = ConsumerOffsetsKey::decode(&hex("0003000167"));
    assert_eq!(consumer_group, Ok(ConsumerOffsetsKey::Other { key_type: 3 }));
}

#[test]
fn committed_offsets_in_every_version() {
    let latest = OffsetCommitValue {
        offset: 42,
        leader_epoch: 7,
        metadata: "meta".into(),
        commit_timestamp: 1_700_000_000_000,
        expire_timestamp: None,
        topic_id: Uuid::nil(),
    };
    let before_epochs = OffsetCommitValue { leader_epoch: -1, ..latest.clone() };
    let with_expiry =
        OffsetCommitValue { expire_timestamp: Some(1_700_000_086_400), ..before_epochs.clone() };
    let with_topic_id = OffsetCommitValue { topic_id: TOPIC_ID, ..latest.clone() };

    let v4 = hex("0004000000000000002a00000007056d6574610000018bcfe5680000");
    let v1 = hex("0001000000000000002a00046d6574610000018bcfe568000000018bcfe6b980");
    let v4_with_id =
        hex("0004000000000000002a00000007056d6574610000018bcfe568000100100102030405060708090a0b0c0d0e0f10");
    assert_eq!(
        (latest.encode(), with_expiry.encode(), with_topic_id.encode()),
        (v4.clone(), v1.clone(), v4_with_id)
    );

    let decoded = |bytes: &str| OffsetCommitValue::decode(&hex(bytes)).unwrap();
    assert_eq!(decoded("0000000000000000002a00046d6574610000018bcfe56800"), before_epochs);
    assert_eq!(OffsetCommitValue::decode(&v1).unwrap(), with_expiry);
    assert_eq!(decoded("0002000000000000002a00046d6574610000018bcfe56800"), before_epochs);
    assert_eq!(decoded("0003000000000000002a0000000700046d6574610000018bcfe56800"), latest);
    assert_eq!(OffsetCommitValue::decode(&v4).unwrap(), latest);
    assert_eq!(OffsetCommitValue::decode(&with_topic_id.encode()).unwrap(), with_topic_id);
}

#[test]
fn group_metadata_in_every_version() {
    let v3 = hex(concat!(
        "00030008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568000000000100036d2d31000673746174696300",
        "0163000a2f3132372e302e302e310000ea600000afc80000000201020000000103"
    ));
    let latest = sample_group();
    assert_eq!(latest.encode(), v3);
    assert_eq!(GroupMetadataValue::decode(&v3).unwrap(), latest);
    let v4 = hex(concat!(
        "000409636f6e73756d6572000000030672616e6765046d2d310000018bcfe5680002046d2d310773746174696302630b2f3132372e30",
        "2e302e310000ea600000afc803010202030000"
    ));
    assert_eq!(GroupMetadataValue::decode(&v4).unwrap(), latest);

    let mut older = latest;
    older.members[0].group_instance_id = None;
    let v2 = hex(concat!(
        "00020008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568000000000100036d2d31000163000a2f313237",
        "2e302e302e310000ea600000afc80000000201020000000103"
    ));
    assert_eq!(GroupMetadataValue::decode(&v2).unwrap(), older);
    older.current_state_timestamp = -1;
    let v1 = hex(concat!(
        "00010008636f6e73756d657200000003000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e310000",
        "ea600000afc80000000201020000000103"
    ));
    assert_eq!(GroupMetadataValue::decode(&v1).unwrap(), older);
    older.members[0].rebalance_timeout_ms = 45_000;
    let v0 = hex(concat!(
        "00000008636f6e73756d657200000003000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e310000",
        "afc80000000201020000000103"
    ));
    assert_eq!(GroupMetadataValue::decode(&v0).unwrap(), older);
}

#[test]
fn an_empty_group() {
    let empty = GroupMetadataValue {
        generation: 4,
        protocol: None,
        leader: None,
        current_state_timestamp: 5,
        members: Vec::new(),
        ..sample_group()
    };
    assert_eq!(empty.encode(), hex("00030008636f6e73756d657200000004ffffffff000000000000000500000000"));
    assert_eq!(GroupMetadataValue::decode(&empty.encode()).unwrap(), empty);
}

#[test]
fn keys_of_transaction_state() {
    let key = TransactionLogKey { transactional_id: "my-txn".into() };
    let bytes = hex("000000066d792d74786e");
    assert_eq!(key.encode(), bytes);
    assert_eq!(TransactionStateKey::decode(&bytes), Ok(TransactionStateKey::TransactionLog(key)));
    let later = TransactionStateKey::decode(&hex("0001000141"));
    assert_eq!(later, Ok(TransactionStateKey::Other { key_type: 1 }));
}

#[test]
fn transactions_in_every_version() {
    let mut ongoing = sample_transaction();
    let v0 = hex(concat!(
        "000000000000000003e800070000ea6001000000020001740000000200000000000000020001750000000100000001",
        "0000018bcfe568010000018bcfe56800"
    ));
    assert_eq!(TransactionLogValue::decode(&v0), Ok(ongoing.clone()));
    let fields = concat!(
        "000100000000000003e800070000ea60010302740300000000000000020002750200000001000000018bcfe56801",
        "0000018bcfe56800"
    );
    let v1 = hex(&format!("{fields}00"));
    assert_eq!(ongoing.encode(), v1);
    assert_eq!(TransactionLogValue::decode(&v1), Ok(ongoing.clone()));

    ongoing.previous_producer_id = 999;
    ongoing.next_producer_id = 1001;
    ongoing.client_transaction_version = 2;
    let v1_with_tags = hex(&format!("{fields}03000800000000000003e7010800000000000003e902020002"));
    assert_eq!(ongoing.encode(), v1_with_tags);
    assert_eq!(TransactionLogValue::decode(&v1_with_tags), Ok(ongoing));
}

#[test]
fn a_transactional_id_without_a_transaction() {
    let empty = TransactionLogValue {
        producer_id: 5,
        producer_epoch: 0,
        transaction_status: 0,
        transaction_partitions: None,
        last_update_timestamp_ms: 1_700_000_000_000,
        start_timestamp_ms: -1,
        ..sample_transaction()
    };
    let v0 = hex("0000000000000000000500000000ea6000ffffffff0000018bcfe56800ffffffffffffffff");
    assert_eq!(TransactionLogValue::decode(&v0), Ok(empty.clone()));
    assert_eq!(empty.encode(), hex("0001000000000000000500000000ea6000000000018bcfe56800ffffffffffffffff00"));
}

#[test]
fn metadata_records() {
    let topic_id = TOPIC_ID;
    same(
        "010200096d792d746f7069630102030405060708090a0b0c0d0e0f1000",
        MetadataRecord::Topic(TopicRecord { name: "my-topic".into(), topic_id }),
    );
    same(
        "0109000102030405060708090a0b0c0d0e0f1000",
        MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }),
    );
    same("01040002096d792d746f7069630d726574656e74696f6e2e6d73053130303000", config(Some("1000")));
    same("01040002096d792d746f7069630d726574656e74696f6e2e6d730000", config(None));
    same(
        "010c00116d657461646174612e76657273696f6e001e00",
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 30,
        }),
    );
    same(
        "010f0000000001ffffffffffffffff00000000000003e800",
        MetadataRecord::ProducerIds(ProducerIdsRecord {
            broker_id: 1,
            broker_epoch: -1,
            next_producer_id: 1000,
        }),
    );
    same("01140000", MetadataRecord::NoOp);
    same("01180000", MetadataRecord::EndTransaction);
    same("01170000", MetadataRecord::BeginTransaction(BeginTransactionRecord { name: None }));
    let name = Some("Bootstrap records".into());
    same(
        "01170001001212426f6f747374726170207265636f726473",
        MetadataRecord::BeginTransaction(BeginTransactionRecord { name }),
    );
    let reason = Some("why".into());
    same("01190001000404776879", MetadataRecord::AbortTransaction(AbortTransactionRecord { reason }));
}

#[test]
fn partition_records_in_every_version() {
    let mut partition = sample_partition();
    let v2 = concat!(
        "010302000000020102030405060708090a0b0c0d0e0f10020000000102000000010101ffffffff0000000500000006",
        "021112131415161718191a1b1c1d1e1f20"
    );
    same(&format!("{v2}00"), MetadataRecord::Partition(partition.clone()));
    let with_eligible_replicas = hex(&format!("{v2}030001010105020000000102050200000001"));
    assert_eq!(
        MetadataRecord::decode(&with_eligible_replicas),
        Ok(MetadataRecord::Partition(partition.clone()))
    );
    let v1 = hex(&format!("{}00", v2.replacen("010302", "010301", 1)));
    assert_eq!(MetadataRecord::decode(&v1), Ok(MetadataRecord::Partition(partition.clone())));

    partition.directories.clear();
    let v0 =
        "010300000000020102030405060708090a0b0c0d0e0f10020000000102000000010101ffffffff000000050000000600";
    assert_eq!(MetadataRecord::decode(&hex(v0)), Ok(MetadataRecord::Partition(partition)));
}

#[test]
fn partition_changes() {
    let mut change = PartitionChangeRecord {
        partition_id: 2,
        topic_id: TOPIC_ID,
        isr: Some(vec![1]),
        leader: Some(1),
        replicas: None,
        directories: Some(vec![DIRECTORY_ID]),
    };
    same(
        concat!(
            "010502000000020102030405060708090a0b0c0d0e0f1003000502000000010104000000010811",
            "021112131415161718191a1b1c1d1e1f20"
        ),
        MetadataRecord::PartitionChange(change.clone()),
    );
    let all = hex(concat!(
        "010502000000020102030405060708090a0b0c0d0e0f1009000502000000010104000000010205020000000103010104010105010006",
        "0502000000010701010811021112131415161718191a1b1c1d1e1f20"
    ));
    change.replicas = Some(vec![1]);
    assert_eq!(MetadataRecord::decode(&all), Ok(MetadataRecord::PartitionChange(change)));
}

#[test]
fn records_about_other_things_are_kept_as_they_are() {
    let register_broker = hex("01000300000001000102030405060708090a0b0c0d0e0f100000000000000003010101010000");
    let decoded = MetadataRecord::decode(&register_broker).unwrap();
    assert!(matches!(decoded, MetadataRecord::Other(_)));
    assert_eq!(decoded.encode(), register_broker);
}

#[test]
fn voters_of_the_metadata_log() {
    let leader_change = hex("00000000000102000000010002000000010000");
    assert_eq!(LeaderChange::decode(&leader_change), Ok(LeaderChange { leader_id: 1, voters: vec![1] }));
    assert!(LeaderChange::decode(&leader_change[..18]).is_err());
    let voters = hex(concat!(
        "000002000000016b98b980d522443ba6cee81c24a8f5b2020b434f4e54524f4c4c45520a",
        "3132372e302e302e3199190000000001000000"
    ));
    assert_eq!(KRaftVoters::decode(&voters), Ok(KRaftVoters { voters: vec![1] }));
}

#[test]
fn control_records() {
    let header = SnapshotHeader { last_contained_log_timestamp: 1_700_000_000_000 };
    assert_eq!(header.encode(), hex("00000000018bcfe5680000"));
    assert_eq!(SnapshotHeader::decode(&header.encode()), Ok(header));
    assert_eq!(SnapshotFooter.encode(), hex("000000"));

    let marker = EndTransactionMarker { coordinator_epoch: 9 };
    assert_eq!(marker.encode(), hex("000000000009"));
    assert_eq!(EndTransactionMarker::decode(&marker.encode()), Ok(marker));

    assert_eq!(ControlRecordType::SnapshotHeader.encode_key(), hex("00000003"));
    for code in 0..9 {
        let control_type = ControlRecordType::decode_key(&[0, 0, 0, code]).unwrap();
        assert_eq!(control_type.encode_key(), [0, 0, 0, code]);
    }
}

proptest! {
    #[test]
    fn damaged_records_give_an_error_or_a_record(mut bytes in vec(any::<u8>(), 0..80), version in 0..5u8) {
        let _key = ConsumerOffsetsKey::decode(&bytes);
        let _control = ControlRecordType::decode_key(&bytes);
        let _leader = LeaderChange::decode(&bytes);
        let _voters = KRaftVoters::decode(&bytes);
        let _transaction_key = TransactionStateKey::decode(&bytes);
        let _framed = MetadataRecord::decode(&[&[1, 2 + version, 0], &bytes[..]].concat());
        bytes.splice(0..0, [0, version]);
        let _offset = OffsetCommitValue::decode(&bytes);
        let _group = GroupMetadataValue::decode(&bytes);
        let _transaction = TransactionLogValue::decode(&bytes);
    }
}

fn same(bytes: &str, record: MetadataRecord) {
    assert_eq!(record.encode(), hex(bytes));
    assert_eq!(MetadataRecord::decode(&hex(bytes)), Ok(record));
}

fn config(value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource: ConfigResource::Topic,
        resource_name: "my-topic".into(),
        name: "retention.ms".into(),
        value: value.map(str::to_owned),
    })
}

fn sample_partition() -> PartitionRecord {
    PartitionRecord {
        partition_id: 2,
        topic_id: TOPIC_ID,
        replicas: vec![1],
        isr: vec![1],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: -1,
        leader_epoch: 5,
        partition_epoch: 6,
        directories: vec![DIRECTORY_ID],
    }
}

fn sample_transaction() -> TransactionLogValue {
    TransactionLogValue {
        producer_id: 1000,
        previous_producer_id: -1,
        next_producer_id: -1,
        producer_epoch: 7,
        transaction_timeout_ms: 60_000,
        transaction_status: 1,
        transaction_partitions: Some(vec![
            TransactionPartitions { topic: "t".into(), partition_ids: vec![0, 2] },
            TransactionPartitions { topic: "u".into(), partition_ids: vec![1] },
        ]),
        last_update_timestamp_ms: 1_700_000_000_001,
        start_timestamp_ms: 1_700_000_000_000,
        client_transaction_version: 0,
    }
}

fn sample_group() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m-1".into()),
        current_state_timestamp: 1_700_000_000_000,
        members: vec![MemberMetadata {
            member_id: "m-1".into(),
            group_instance_id: Some("static".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 45_000,
            subscription: vec![1, 2],
            assignment: vec![3],
        }],
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
