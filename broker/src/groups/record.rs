//! What the coordinator writes to `__consumer_offsets`.

use bytes::Bytes;
use ottla_protocol::messages::{GroupId, TopicName};
use ottla_protocol::records::SchemaError;
use ottla_protocol::records::consumer_offsets::{self as schema, ConsumerOffsetsKey};
use ottla_protocol::{NO_TIMESTAMP, StrBytes};
use uuid::Uuid;

use super::offsets::CommittedOffset;

/// One record: a key with its newest value, or a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CoordinatorRecord {
    Offset { group: GroupId, topic: TopicName, partition: i32, value: Option<CommittedOffset> },
    Group { group: GroupId, value: Option<GroupMetadata> },
}

/// Where a record is in the offsets log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) log_partition: i32,
    pub(crate) log_offset: i64,
    /// The producer whose transaction it belongs to.
    pub(crate) producer_id: Option<i64>,
}

/// A generation of a group, as far as it outlives the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupMetadata {
    /// Empty for a simple group.
    pub(crate) protocol_type: StrBytes,
    pub(crate) generation_id: i32,
    pub(crate) protocol_name: Option<StrBytes>,
    pub(crate) leader: Option<StrBytes>,
    pub(crate) phase_since_ms: Option<i64>,
    pub(crate) members: Vec<MemberMetadata>,
}

/// A member of that generation. Of the protocols it speaks, only the one in force is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

impl CoordinatorRecord {
    pub(crate) fn offset(group: &GroupId, topic: &TopicName, partition: i32, value: CommittedOffset) -> Self {
        CoordinatorRecord::Offset {
            group: group.clone(),
            topic: topic.clone(),
            partition,
            value: Some(value),
        }
    }

    pub(crate) fn offset_tombstone(group: &GroupId, topic: &TopicName, partition: i32) -> Self {
        CoordinatorRecord::Offset { group: group.clone(), topic: topic.clone(), partition, value: None }
    }

    pub(crate) fn group_tombstone(group: &GroupId) -> Self {
        CoordinatorRecord::Group { group: group.clone(), value: None }
    }

    /// The group that the record is about, which decides its partition.
    pub(crate) fn group_id(&self) -> &GroupId {
        match self {
            CoordinatorRecord::Offset { group, .. } | CoordinatorRecord::Group { group, .. } => group,
        }
    }
}

/// A record as the log has it. No value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl CoordinatorRecord {
    pub(crate) fn encode(&self) -> EncodedRecord {
        match self {
            CoordinatorRecord::Offset { group, topic, partition, value } => {
                let (group, topic) = (group.to_string(), topic.to_string());
                let key = schema::OffsetCommitKey { group, topic, partition: *partition };
                EncodedRecord { key: key.encode(), value: value.as_ref().map(encode_offset) }
            }
            CoordinatorRecord::Group { group, value } => {
                let key = schema::GroupMetadataKey { group: group.to_string() };
                EncodedRecord { key: key.encode(), value: value.as_ref().map(encode_group) }
            }
        }
    }

    /// `None` for a record of another group protocol, which Kafka may have left here.
    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<CoordinatorRecord>, SchemaError> {
        let record = match ConsumerOffsetsKey::decode(key)? {
            ConsumerOffsetsKey::OffsetCommit(key) => CoordinatorRecord::Offset {
                group: GroupId(StrBytes::from_string(key.group)),
                topic: TopicName(StrBytes::from_string(key.topic)),
                partition: key.partition,
                value: value.map(decode_offset).transpose()?,
            },
            ConsumerOffsetsKey::GroupMetadata(key) => CoordinatorRecord::Group {
                group: GroupId(StrBytes::from_string(key.group)),
                value: value.map(decode_group).transpose()?,
            },
            ConsumerOffsetsKey::Other { .. } => return Ok(None),
        };
        Ok(Some(record))
    }
}

fn encode_offset(offset: &CommittedOffset) -> Vec<u8> {
    let value = schema::OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.to_string(),
        commit_timestamp: offset.commit_timestamp_ms,
        expire_timestamp: offset.expire_timestamp_ms,
        // Only commits since OffsetCommit v10 name the topic by its id.
        topic_id: Uuid::nil(),
    };
    value.encode()
}

fn decode_offset(value: &[u8]) -> Result<CommittedOffset, SchemaError> {
    let value = schema::OffsetCommitValue::decode(value)?;
    Ok(CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: StrBytes::from_string(value.metadata),
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: value.expire_timestamp,
    })
}

fn encode_group(group: &GroupMetadata) -> Vec<u8> {
    let value = schema::GroupMetadataValue {
        protocol_type: group.protocol_type.to_string(),
        generation: group.generation_id,
        protocol: group.protocol_name.as_ref().map(ToString::to_string),
        leader: group.leader.as_ref().map(ToString::to_string),
        current_state_timestamp: group.phase_since_ms.unwrap_or(NO_TIMESTAMP),
        members: group.members.iter().map(encode_member).collect(),
    };
    value.encode()
}

fn decode_group(value: &[u8]) -> Result<GroupMetadata, SchemaError> {
    let value = schema::GroupMetadataValue::decode(value)?;
    Ok(GroupMetadata {
        protocol_type: StrBytes::from_string(value.protocol_type),
        generation_id: value.generation,
        protocol_name: value.protocol.map(StrBytes::from_string),
        leader: value.leader.map(StrBytes::from_string),
        phase_since_ms: Some(value.current_state_timestamp).filter(|ms| *ms != NO_TIMESTAMP),
        members: value.members.into_iter().map(decode_member).collect(),
    })
}

fn encode_member(member: &MemberMetadata) -> schema::MemberMetadata {
    schema::MemberMetadata {
        member_id: member.member_id.to_string(),
        group_instance_id: member.instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout_ms,
        subscription: member.subscription.to_vec(),
        assignment: member.assignment.to_vec(),
    }
}

fn decode_member(member: schema::MemberMetadata) -> MemberMetadata {
    MemberMetadata {
        member_id: StrBytes::from_string(member.member_id),
        instance_id: member.group_instance_id.map(StrBytes::from_string),
        client_id: StrBytes::from_string(member.client_id),
        client_host: StrBytes::from_string(member.client_host),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout_ms,
        subscription: Bytes::from(member.subscription),
        assignment: Bytes::from(member.assignment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_from_the_log() {
        let group = GroupId(StrBytes::from_static_str("g"));
        let topic = TopicName(StrBytes::from_static_str("t"));
        let offset = CommittedOffset {
            offset: 5,
            leader_epoch: 1,
            metadata: StrBytes::from_static_str("where I was"),
            commit_timestamp_ms: 8,
            expire_timestamp_ms: None,
        };
        let metadata = GroupMetadata {
            protocol_type: StrBytes::from_static_str("consumer"),
            generation_id: 3,
            members: vec![MemberMetadata {
                assignment: Bytes::from_static(b"a"),
                ..MemberMetadata::default()
            }],
            ..GroupMetadata::default()
        };
        for record in [
            CoordinatorRecord::offset(&group, &topic, 2, offset),
            CoordinatorRecord::offset_tombstone(&group, &topic, 2),
            CoordinatorRecord::Group { group: group.clone(), value: Some(metadata) },
            CoordinatorRecord::group_tombstone(&group),
        ] {
            let EncodedRecord { key, value } = record.encode();
            assert_eq!(CoordinatorRecord::decode(&key, value.as_deref()).unwrap(), Some(record));
        }
    }
}
