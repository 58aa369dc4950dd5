//! OffsetCommit v8–9: how far a group has read.

use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{GroupId, OffsetCommitResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::by_topic::by_topic;
use crate::client::Client;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 8, max: 9 };

/// The offset of the next record that the group wants from a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: Option<String>,
}

/// On whose behalf offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committer<'a> {
    /// No member: allowed while the group has none (as Spark's or `kafka-consumer-groups --reset-offsets` do).
    Standalone,
    Member {
        generation_id: i32,
        member_id: &'a str,
    },
}

impl OffsetToCommit {
    pub fn new(topic: impl Into<String>, partition: i32, offset: i64) -> OffsetToCommit {
        OffsetToCommit { topic: topic.into(), partition, offset, leader_epoch: None, metadata: None }
    }
}

impl Client {
    /// Commits all offsets, or says of which partition the broker refused to.
    pub async fn commit_offsets(
        &self,
        group: &str,
        committer: Committer<'_>,
        offsets: &[OffsetToCommit],
    ) -> Result<(), RequestError> {
        let request = request(group, committer, offsets);
        let response = self.call_coordinator(group, VERSIONS, |_| request.clone(), first_error).await?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                if let Some(code) = ErrorCode::try_from_code(partition.error_code) {
                    let subject = Subject::Partition(topic.name.to_string(), partition.partition_index);
                    return Err(RequestError::kafka(subject, code));
                }
            }
        }
        Ok(())
    }
}

fn request(group: &str, committer: Committer<'_>, offsets: &[OffsetToCommit]) -> OffsetCommitRequest {
    let (generation_id, member_id) = match committer {
        Committer::Standalone => (-1, ""),
        Committer::Member { generation_id, member_id } => (generation_id, member_id),
    };
    let partitions = offsets.iter().map(|offset| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch.unwrap_or(-1))
            .with_committed_metadata(offset.metadata.clone().map(StrBytes::from_string));
        (offset.topic.as_str(), partition)
    });
    let topics = by_topic(partitions)
        .into_iter()
        .map(|(name, partitions)| {
            OffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions)
        })
        .collect();
    OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_generation_id_or_member_epoch(generation_id)
        .with_member_id(StrBytes::from_string(member_id.to_owned()))
        .with_topics(topics)
}

/// A coordinator that is away says so of every partition.
fn first_error(response: &OffsetCommitResponse) -> i16 {
    let codes =
        response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    codes.into_iter().find(|code| *code != 0).unwrap_or(0)
}
