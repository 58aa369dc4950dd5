//! The records of `__consumer_offsets`: committed offsets and classic groups.
//!
//! A key starts with its type, a value with its version. A key without a value deletes what it names.

use uuid::Uuid;

use super::codec::{Reader, SchemaError, SchemaFault, Writer, tagged};
use crate::{NO_LEADER_EPOCH, NO_TIMESTAMP};

/// Types 0 and 1 are the same; Kafka writes 1.
const OFFSET_COMMIT_KEYS: std::ops::RangeInclusive<i16> = 0..=1;
const GROUP_METADATA_KEY: i16 = 2;

/// Keys are never flexible.
const NEVER: i16 = i16::MAX;
const VALUES_FLEXIBLE_FROM: i16 = 4;

const OFFSET_COMMIT_VALUE_LATEST: i16 = 4;
/// The only version with an expiry, which old clients could ask for.
const OFFSET_COMMIT_VALUE_WITH_EXPIRY: i16 = 1;
const TOPIC_ID_TAG: u32 = 0;

const GROUP_METADATA_VALUE_LATEST: i16 = 4;
/// Later versions are read but not written, so that Kafka from 2.1 on can take the topic over.
const GROUP_METADATA_VALUE_WRITTEN: i16 = 3;

/// A key of `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConsumerOffsetsKey {
    OffsetCommit(OffsetCommitKey),
    GroupMetadata(GroupMetadataKey),
    /// A record of another group protocol, which is left as it is.
    Other {
        key_type: i16,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OffsetCommitKey {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupMetadataKey {
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// The next offset to consume.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: i64,
    /// When the offset expires, if the client that committed it said so.
    pub expire_timestamp: Option<i64>,
    /// Nil if the commit named the topic only.
    pub topic_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    pub current_state_timestamp: i64,
    pub members: Vec<MemberMetadata>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Vec<u8>,
    pub assignment: Vec<u8>,
}

impl ConsumerOffsetsKey {
    pub fn decode(key: &[u8]) -> Result<Self, SchemaError> {
        Self::read(key).map_err(|fault| fault.of("a key of __consumer_offsets"))
    }

    fn read(key: &[u8]) -> Result<Self, SchemaFault> {
        let mut reader = Reader::plain(key);
        match reader.i16()? {
            key_type if OFFSET_COMMIT_KEYS.contains(&key_type) => {
                let (group, topic, partition) = (reader.string()?, reader.string()?, reader.i32()?);
                reader.finish(Self::OffsetCommit(OffsetCommitKey { group, topic, partition }))
            }
            GROUP_METADATA_KEY => {
                let group = reader.string()?;
                reader.finish(Self::GroupMetadata(GroupMetadataKey { group }))
            }
            key_type => Ok(Self::Other { key_type }),
        }
    }
}

impl OffsetCommitKey {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(*OFFSET_COMMIT_KEYS.end(), NEVER);
        writer.string(&self.group);
        writer.string(&self.topic);
        writer.i32(self.partition);
        writer.finish()
    }
}

impl GroupMetadataKey {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(GROUP_METADATA_KEY, NEVER);
        writer.string(&self.group);
        writer.finish()
    }
}

impl OffsetCommitValue {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a committed offset"))
    }

    /// Encodes in version 4, or, if there is an expiry, in version 1, as Kafka 4.3 does.
    pub fn encode(&self) -> Vec<u8> {
        match self.expire_timestamp {
            Some(expire_timestamp) => self.encode_with_expiry(expire_timestamp),
            None => self.encode_latest(),
        }
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let (version, mut reader) =
            Reader::versioned(value, OFFSET_COMMIT_VALUE_LATEST, VALUES_FLEXIBLE_FROM)?;
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { NO_LEADER_EPOCH };
        let metadata = reader.string()?;
        let commit_timestamp = reader.i64()?;
        let expire_timestamp = match version {
            OFFSET_COMMIT_VALUE_WITH_EXPIRY => Some(reader.i64()?).filter(|&expiry| expiry != NO_TIMESTAMP),
            _ => None,
        };
        let mut topic_id = Uuid::nil();
        reader.tagged_fields(|tag, field| {
            if tag == TOPIC_ID_TAG {
                topic_id = field.uuid()?;
            }
            Ok(())
        })?;
        reader.finish(Self { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
    }

    fn encode_latest(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(OFFSET_COMMIT_VALUE_LATEST, VALUES_FLEXIBLE_FROM);
        writer.i64(self.offset);
        writer.i32(self.leader_epoch);
        writer.string(&self.metadata);
        writer.i64(self.commit_timestamp);
        let topic_id = Some(self.topic_id).filter(|id| !id.is_nil());
        writer.tagged_fields([tagged(TOPIC_ID_TAG, topic_id, Writer::uuid)]);
        writer.finish()
    }

    fn encode_with_expiry(&self, expire_timestamp: i64) -> Vec<u8> {
        let mut writer = Writer::versioned(OFFSET_COMMIT_VALUE_WITH_EXPIRY, VALUES_FLEXIBLE_FROM);
        writer.i64(self.offset);
        writer.string(&self.metadata);
        writer.i64(self.commit_timestamp);
        writer.i64(expire_timestamp);
        writer.finish()
    }
}

impl GroupMetadataValue {
    pub fn decode(value: &[u8]) -> Result<Self, SchemaError> {
        Self::read(value).map_err(|fault| fault.of("a group's metadata"))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::versioned(GROUP_METADATA_VALUE_WRITTEN, VALUES_FLEXIBLE_FROM);
        writer.string(&self.protocol_type);
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref());
        writer.nullable_string(self.leader.as_deref());
        writer.i64(self.current_state_timestamp);
        writer.array(&self.members, |writer, member| member.write(writer));
        writer.finish()
    }

    fn read(value: &[u8]) -> Result<Self, SchemaFault> {
        let (version, mut reader) =
            Reader::versioned(value, GROUP_METADATA_VALUE_LATEST, VALUES_FLEXIBLE_FROM)?;
        let group = Self {
            protocol_type: reader.string()?,
            generation: reader.i32()?,
            protocol: reader.nullable_string()?,
            leader: reader.nullable_string()?,
            current_state_timestamp: if version >= 2 { reader.i64()? } else { NO_TIMESTAMP },
            members: reader.array(|reader| MemberMetadata::read(reader, version))?,
        };
        reader.no_tagged_fields()?;
        reader.finish(group)
    }
}

impl MemberMetadata {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.session_timeout_ms);
        writer.bytes(&self.subscription);
        writer.bytes(&self.assignment);
    }

    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, SchemaFault> {
        let member_id = reader.string()?;
        let group_instance_id = if version >= 3 { reader.nullable_string()? } else { None };
        let (client_id, client_host) = (reader.string()?, reader.string()?);
        let rebalance_timeout_ms = if version >= 1 { Some(reader.i32()?) } else { None };
        let session_timeout_ms = reader.i32()?;
        let member = Self {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            // Version 0 is from before the two were told apart.
            rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: reader.bytes()?,
            assignment: reader.bytes()?,
        };
        reader.no_tagged_fields()?;
        Ok(member)
    }
}
