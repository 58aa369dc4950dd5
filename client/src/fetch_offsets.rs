//! OffsetFetch v8–9: how far a group has read. v8: several groups at once (KIP-709).

use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_fetch_response::{OffsetFetchResponse, OffsetFetchResponsePartitions};
use ottla_protocol::messages::{ApiKey, GroupId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::by_topic::by_topic;
use crate::client::Client;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 8, max: 9 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    pub topic: String,
    pub partition: i32,
    /// The offset of the next record that the group wants.
    pub offset: i64,
    pub leader_epoch: Option<i32>,
    pub metadata: Option<String>,
}

impl Client {
    /// What the group has committed for these partitions; those without a commit are left out.
    pub async fn fetch_offsets(
        &self,
        group: &str,
        partitions: &[(&str, i32)],
    ) -> Result<Vec<CommittedOffset>, RequestError> {
        self.offset_fetch(group, Some(topics(partitions)), false).await
    }

    /// Everything that the group has committed.
    pub async fn fetch_all_offsets(&self, group: &str) -> Result<Vec<CommittedOffset>, RequestError> {
        self.offset_fetch(group, None, false).await
    }

    /// Everything that the group has committed, once no transaction with offsets of it is open any more (KIP-447).
    pub async fn fetch_all_stable_offsets(&self, group: &str) -> Result<Vec<CommittedOffset>, RequestError> {
        let attempts = self.attempts();
        loop {
            match self.offset_fetch(group, None, true).await {
                Err(error) if error.code() == Some(ErrorCode::UnstableOffsetCommit) => {
                    if !attempts.pause().await {
                        return Err(error);
                    }
                }
                settled => return settled,
            }
        }
    }

    async fn offset_fetch(
        &self,
        group: &str,
        topics: Option<Vec<OffsetFetchRequestTopics>>,
        require_stable: bool,
    ) -> Result<Vec<CommittedOffset>, RequestError> {
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_topics(topics);
        let request =
            OffsetFetchRequest::default().with_groups(vec![wanted]).with_require_stable(require_stable);
        let response = self.call_coordinator(group, VERSIONS, |_| request.clone(), group_error).await?;
        committed(response, group)
    }
}

fn topics(partitions: &[(&str, i32)]) -> Vec<OffsetFetchRequestTopics> {
    by_topic(partitions.iter().copied())
        .into_iter()
        .map(|(name, indexes)| {
            OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(indexes)
        })
        .collect()
}

fn group_error(response: &OffsetFetchResponse) -> i16 {
    response.groups.first().map_or(0, |group| group.error_code)
}

fn committed(response: OffsetFetchResponse, group: &str) -> Result<Vec<CommittedOffset>, RequestError> {
    let Some(answer) = response.groups.into_iter().find(|answer| answer.group_id.as_str() == group) else {
        return Err(RequestError::Incomplete { api: ApiKey::OffsetFetch });
    };
    if let Some(code) = ErrorCode::try_from_code(answer.error_code) {
        return Err(RequestError::kafka(Subject::Group(group.to_owned()), code));
    }
    let mut committed = Vec::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            committed.extend(committed_offset(topic.name.as_str(), partition)?);
        }
    }
    committed.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(committed)
}

fn committed_offset(
    topic: &str,
    partition: OffsetFetchResponsePartitions,
) -> Result<Option<CommittedOffset>, RequestError> {
    let index = partition.partition_index;
    if let Some(code) = ErrorCode::try_from_code(partition.error_code) {
        return Err(RequestError::kafka(Subject::Partition(topic.to_owned(), index), code));
    }
    Ok((partition.committed_offset >= 0).then(|| CommittedOffset {
        topic: topic.to_owned(),
        partition: index,
        offset: partition.committed_offset,
        leader_epoch: Some(partition.committed_leader_epoch).filter(|epoch| *epoch >= 0),
        metadata: partition.metadata.map(|text| text.to_string()).filter(|text| !text.is_empty()),
    }))
}
