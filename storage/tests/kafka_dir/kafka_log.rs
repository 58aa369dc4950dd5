//! Metadata logs as Kafka would write them.

use std::fs;
use std::path::Path;

use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::records::control::ControlRecordType;
use ottla_protocol::records::metadata::{
    FeatureLevelRecord, MetadataRecord, OtherRecord, PartitionRecord, TopicRecord,
};
use uuid::Uuid;

use crate::samples::{KRAFT_LOG, LOG};

pub(crate) const TOPIC_ID: Uuid = Uuid::from_u128(77);

/// A segment in the making.
#[derive(Default)]
pub(crate) struct KafkaLog {
    pub(crate) bytes: Vec<u8>,
    next_offset: i64,
}

impl KafkaLog {
    /// With the level of `metadata.version`, which is what makes a cluster, and a broker in it.
    pub(crate) fn of_a_cluster() -> KafkaLog {
        let mut log = KafkaLog::default();
        log.push(&[feature("metadata.version", 30), broker()]);
        log
    }

    pub(crate) fn push(&mut self, records: &[MetadataRecord]) {
        let mut batch = BatchBuilder::new(Compression::None).with_base_offset(self.next_offset);
        for record in records {
            batch.push(1000, None, Some(&record.encode())).unwrap();
        }
        self.next_offset += records.len() as i64;
        self.bytes.extend_from_slice(&batch.build().unwrap());
    }

    pub(crate) fn push_control(&mut self, kind: ControlRecordType, value: &[u8]) {
        let mut batch = BatchBuilder::new(Compression::None).with_base_offset(self.next_offset).control();
        batch.push(1000, Some(&kind.encode_key()), Some(value)).unwrap();
        self.next_offset += 1;
        self.bytes.extend_from_slice(&batch.build().unwrap());
    }

    pub(crate) fn store(&self, dir: &Path) {
        fs::write(dir.join(KRAFT_LOG).join(LOG), &self.bytes).unwrap();
    }
}

/// Says no more than that a broker has come up.
fn broker() -> MetadataRecord {
    MetadataRecord::Other(OtherRecord { api_key: 0, version: 4, message: vec![0; 8] })
}

pub(crate) fn feature(name: &str, feature_level: i16) -> MetadataRecord {
    MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.to_owned(), feature_level })
}

pub(crate) fn topic(name: &str, topic_id: Uuid) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: name.to_owned(), topic_id })
}

/// Partition 0 of [`TOPIC_ID`].
pub(crate) fn partition(directory_id: Uuid) -> PartitionRecord {
    PartitionRecord { leader: 1, ..PartitionRecord::of_one_node(TOPIC_ID, 0, 1, directory_id) }
}
