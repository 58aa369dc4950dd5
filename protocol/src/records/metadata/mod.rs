//! The records of KRaft's metadata log, as far as one node needs them.
//!
//! A record's value is a frame version, an API key and a message version, each an unsigned varint, and the message in
//! the flexible encoding. There are no keys.

mod partition;
mod setting;
mod topic;
mod transaction;

pub use partition::{PartitionChangeRecord, PartitionRecord};
pub use setting::{ConfigRecord, ConfigResource, FeatureLevelRecord, ProducerIdsRecord};
pub use topic::{RemoveTopicRecord, TopicRecord};
pub use transaction::{AbortTransactionRecord, BeginTransactionRecord};

use super::codec::{Reader, SchemaError, SchemaFault, Writer};

const FRAME_VERSION: u32 = 1;

/// A record of the metadata log. Those that say nothing to a single node are [`MetadataRecord::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    RemoveTopic(RemoveTopicRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
    NoOp,
    BeginTransaction(BeginTransactionRecord),
    EndTransaction,
    AbortTransaction(AbortTransactionRecord),
    Other(OtherRecord),
}

/// A record that is not decoded: brokers, controllers, quotas, users and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRecord {
    pub api_key: u32,
    pub version: u32,
    /// The message, as it was.
    pub message: Vec<u8>,
}

/// What a record is about that is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherKind {
    /// What somebody has set for the whole cluster: users, ACLs, quotas and delegation tokens.
    Administration,
    /// A broker has come up.
    BrokerRegistration,
    /// What brokers and controllers do at the moment.
    Status,
    /// A record of a later Kafka.
    Unknown,
}

const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const REMOVE_TOPIC: u32 = 9;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;
/// Delegation tokens, SCRAM credentials, client quotas, access control entries; some have a record that removes them.
const ADMINISTRATION: [u32; 7] = [10, 11, 14, 18, 19, 22, 26];
const BROKER_REGISTRATION: u32 = 0;
/// Brokers (1, 7, 8, 17), controllers (27), the migration from ZooKeeper (21), cleared replica sets (28).
const STATUS: [u32; 7] = [1, 7, 8, 17, 21, 27, 28];
const NO_OP: u32 = 20;
const BEGIN_TRANSACTION: u32 = 23;
const END_TRANSACTION: u32 = 24;
const ABORT_TRANSACTION: u32 = 25;

impl OtherRecord {
    pub fn kind(&self) -> OtherKind {
        match self.api_key {
            key if ADMINISTRATION.contains(&key) => OtherKind::Administration,
            BROKER_REGISTRATION => OtherKind::BrokerRegistration,
            key if STATUS.contains(&key) => OtherKind::Status,
            _ => OtherKind::Unknown,
        }
    }
}

impl MetadataRecord {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a metadata record"))
    }

    pub fn encode(&self) -> Vec<u8> {
        let (api_key, version) = self.api_key_and_version();
        let mut writer = Writer::flexible();
        writer.varint(FRAME_VERSION);
        writer.varint(api_key);
        writer.varint(version);
        match self {
            Self::Topic(record) => record.write(&mut writer),
            Self::Partition(record) => record.write(&mut writer),
            Self::Config(record) => record.write(&mut writer),
            Self::PartitionChange(record) => record.write(&mut writer),
            Self::RemoveTopic(record) => record.write(&mut writer),
            Self::FeatureLevel(record) => record.write(&mut writer),
            Self::ProducerIds(record) => record.write(&mut writer),
            Self::BeginTransaction(record) => record.write(&mut writer),
            Self::AbortTransaction(record) => record.write(&mut writer),
            Self::NoOp | Self::EndTransaction => writer.no_tagged_fields(),
            Self::Other(record) => writer.raw(&record.message),
        }
        writer.finish()
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::flexible(value);
        let frame_version = reader.varint()?;
        if frame_version != FRAME_VERSION {
            return Err(SchemaFault::UnknownFrame { version: frame_version });
        }
        let (api_key, version) = (reader.varint()?, reader.varint()?);
        let record = Self::read_message(api_key, version, &mut reader)?;
        reader.finish(record)
    }

    fn read_message(api_key: u32, version: u32, reader: &mut Reader<'_>) -> Result<Self, SchemaFault> {
        let record = match api_key {
            TOPIC => Self::Topic(TopicRecord::read(reader, version)?),
            PARTITION => Self::Partition(PartitionRecord::read(reader, version)?),
            CONFIG => Self::Config(ConfigRecord::read(reader, version)?),
            PARTITION_CHANGE => Self::PartitionChange(PartitionChangeRecord::read(reader, version)?),
            REMOVE_TOPIC => Self::RemoveTopic(RemoveTopicRecord::read(reader, version)?),
            FEATURE_LEVEL => Self::FeatureLevel(FeatureLevelRecord::read(reader, version)?),
            PRODUCER_IDS => Self::ProducerIds(ProducerIdsRecord::read(reader, version)?),
            BEGIN_TRANSACTION => Self::BeginTransaction(BeginTransactionRecord::read(reader, version)?),
            ABORT_TRANSACTION => Self::AbortTransaction(AbortTransactionRecord::read(reader, version)?),
            NO_OP => {
                reader.no_tagged_fields()?;
                Self::NoOp
            }
            END_TRANSACTION => {
                reader.no_tagged_fields()?;
                Self::EndTransaction
            }
            _ => Self::Other(OtherRecord { api_key, version, message: reader.take_rest() }),
        };
        Ok(record)
    }

    fn api_key_and_version(&self) -> (u32, u32) {
        match self {
            Self::Topic(_) => (TOPIC, topic::VERSION),
            Self::Partition(_) => (PARTITION, partition::VERSION),
            Self::Config(_) => (CONFIG, setting::VERSION),
            Self::PartitionChange(_) => (PARTITION_CHANGE, partition::VERSION),
            Self::RemoveTopic(_) => (REMOVE_TOPIC, topic::VERSION),
            Self::FeatureLevel(_) => (FEATURE_LEVEL, setting::VERSION),
            Self::ProducerIds(_) => (PRODUCER_IDS, setting::VERSION),
            Self::NoOp => (NO_OP, 0),
            Self::BeginTransaction(_) => (BEGIN_TRANSACTION, transaction::VERSION),
            Self::EndTransaction => (END_TRANSACTION, transaction::VERSION),
            Self::AbortTransaction(_) => (ABORT_TRANSACTION, transaction::VERSION),
            Self::Other(record) => (record.api_key, record.version),
        }
    }
}

fn check_version(version: u32, latest: u32) -> Result<(), SchemaFault> {
    if version > latest {
        let version = i16::try_from(version).unwrap_or(i16::MAX);
        return Err(SchemaFault::UnknownVersion { version, latest: latest as i16 });
    }
    Ok(())
}
