//! ListOffsets v7–10: the first, the next, or the first offset from a time on. v7: the newest timestamp (KIP-734).

use std::collections::HashMap;

use futures::future::try_join_all;
use ottla_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsResponse};
use ottla_protocol::messages::{ApiKey, BrokerId};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::address::HostPort;
use crate::by_topic::by_topic;
use crate::client::{Client, Leader};
use crate::cluster::Lane;
use crate::error::{RequestError, Subject, is_stale_metadata};
use crate::fetch::IsolationLevel;
use crate::metadata::AutoCreate;

const VERSIONS: VersionRange = VersionRange { min: 7, max: 10 };

/// Which offset of a partition is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The offset that the next record will get: the high watermark.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since the epoch.
    Timestamp(i64),
    /// The record with the newest timestamp.
    MaxTimestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedOffset {
    pub topic: String,
    pub partition: i32,
    /// `None` if no record has such a timestamp.
    pub offset: Option<i64>,
    /// The timestamp of that record, where a timestamp was asked for.
    pub timestamp_ms: Option<i64>,
    pub leader_epoch: Option<i32>,
}

/// Topic, partition, and which of its offsets.
type Wanted<'a> = (&'a str, i32, OffsetSpec);

/// One partition on its way to its leader.
#[derive(Debug)]
struct Question<'a> {
    /// Its place among all that is asked.
    position: usize,
    topic: &'a str,
    partition: i32,
    spec: OffsetSpec,
    leader: Leader,
}

impl Client {
    /// One answer for each question, in the same order; several about one partition may be asked at once. Fails if any
    /// partition has no answer.
    pub async fn list_offsets(&self, wanted: &[Wanted<'_>]) -> Result<Vec<ListedOffset>, RequestError> {
        self.list_offsets_isolated(wanted, IsolationLevel::ReadUncommitted).await
    }

    /// As [`Client::list_offsets`]; with [`IsolationLevel::ReadCommitted`] the latest offset is the last stable one,
    /// before which no transaction is open.
    pub async fn list_offsets_isolated(
        &self,
        wanted: &[Wanted<'_>],
        isolation_level: IsolationLevel,
    ) -> Result<Vec<ListedOffset>, RequestError> {
        let attempts = self.attempts();
        loop {
            let error = match self.list_offsets_once(wanted, isolation_level).await {
                Ok(listed) => return Ok(listed),
                Err(error) => error,
            };
            if error.code().is_some_and(is_stale_metadata) {
                wanted.iter().for_each(|(topic, ..)| self.cluster().forget_topic(topic));
            }
            if !error.is_retriable() || !attempts.pause().await {
                return Err(error);
            }
        }
    }

    async fn list_offsets_once(
        &self,
        wanted: &[Wanted<'_>],
        isolation_level: IsolationLevel,
    ) -> Result<Vec<ListedOffset>, RequestError> {
        // Kafka refuses a request that names a partition twice, so the second question about it goes into another.
        let mut requests: HashMap<(HostPort, usize), Vec<Question<'_>>> = HashMap::new();
        let mut asked: HashMap<(&str, i32), usize> = HashMap::new();
        for (position, (topic, partition, spec)) in wanted.iter().copied().enumerate() {
            let leader = self.leader(topic, partition, AutoCreate::Forbidden).await?;
            let times_asked = asked.entry((topic, partition)).or_default();
            let request = requests.entry((leader.server.clone(), *times_asked)).or_default();
            request.push(Question { position, topic, partition, spec, leader });
            *times_asked += 1;
        }
        let sent = requests
            .iter()
            .map(|((server, _), questions)| self.list_offsets_at(server, questions, isolation_level));
        let mut answers = try_join_all(sent).await?.concat();
        answers.sort_by_key(|(position, _)| *position);
        Ok(answers.into_iter().map(|(_, listed)| listed).collect())
    }

    async fn list_offsets_at(
        &self,
        server: &HostPort,
        questions: &[Question<'_>],
        isolation_level: IsolationLevel,
    ) -> Result<Vec<(usize, ListedOffset)>, RequestError> {
        let connection = self.connection(server, Lane::Control).await?;
        let response = connection.call(VERSIONS, |_| request(questions, isolation_level)).await?;
        let mut answers = by_partition(response);
        let answer = |Question { position, topic, partition, .. }: &Question<'_>| {
            let answer = answers.get_mut(*topic).and_then(|answers| answers.remove(partition));
            Ok((*position, listed_offset(topic, *partition, answer)?))
        };
        questions.iter().map(answer).collect()
    }
}

fn request(questions: &[Question<'_>], isolation_level: IsolationLevel) -> ListOffsetsRequest {
    let partitions = questions.iter().map(|question| {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(question.partition)
            .with_current_leader_epoch(question.leader.epoch)
            .with_timestamp(question.spec.timestamp());
        (question.topic, partition)
    });
    let topics = by_topic(partitions)
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic::default().with_name(name).with_partitions(partitions))
        .collect();
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation_level.code())
        .with_topics(topics)
}

fn by_partition(
    response: ListOffsetsResponse,
) -> HashMap<String, HashMap<i32, ListOffsetsPartitionResponse>> {
    let of_topic = |partitions: Vec<ListOffsetsPartitionResponse>| {
        partitions.into_iter().map(|partition| (partition.partition_index, partition)).collect()
    };
    response.topics.into_iter().map(|topic| (topic.name.to_string(), of_topic(topic.partitions))).collect()
}

fn listed_offset(
    topic: &str,
    partition: i32,
    answer: Option<ListOffsetsPartitionResponse>,
) -> Result<ListedOffset, RequestError> {
    let Some(answer) = answer else {
        return Err(RequestError::Incomplete { api: ApiKey::ListOffsets });
    };
    if let Some(code) = ErrorCode::try_from_code(answer.error_code) {
        return Err(RequestError::kafka(Subject::Partition(topic.to_owned(), partition), code));
    }
    let known = |number: i64| Some(number).filter(|number| *number >= 0);
    Ok(ListedOffset {
        topic: topic.to_owned(),
        partition,
        offset: known(answer.offset),
        timestamp_ms: known(answer.timestamp),
        leader_epoch: Some(answer.leader_epoch).filter(|epoch| *epoch >= 0),
    })
}

impl OffsetSpec {
    /// The reserved timestamps of ListOffsets.
    fn timestamp(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(timestamp_ms) => timestamp_ms,
        }
    }
}
