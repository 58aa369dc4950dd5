//! DeleteRecords v1–2 (KIP-107): partitions begin later from then on.

use std::collections::HashMap;

use futures::future::try_join_all;
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_records_response::DeleteRecordsResponse;
use ottla_protocol::{ErrorCode, VersionRange};

use crate::address::HostPort;
use crate::by_topic::by_topic;
use crate::client::Client;
use crate::cluster::Lane;
use crate::error::{KafkaError, RequestError, Subject, is_stale_metadata};
use crate::metadata::AutoCreate;

const VERSIONS: VersionRange = VersionRange { min: 1, max: 2 };

/// Up to where the records of a partition go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBefore {
    /// This one stays.
    Offset(i64),
    /// All that is there when the broker gets the request.
    HighWatermark,
}

/// What became of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedRecords {
    pub topic: String,
    pub partition: i32,
    /// The offset at which the partition begins now.
    pub low_watermark: Result<i64, KafkaError>,
}

/// Topic, partition, and which of its records go.
type Wanted<'a> = (&'a str, i32, DeleteBefore);

impl Client {
    /// One answer for each partition, in the same order; each may be named once. It is sent again when its answer was
    /// lost. Fails, and deletes nothing, if a partition has no leader.
    pub async fn delete_records(&self, wanted: &[Wanted<'_>]) -> Result<Vec<DeletedRecords>, RequestError> {
        let attempts = self.attempts();
        loop {
            let (deleted, error) = match self.delete_records_once(wanted).await {
                Ok(deleted) => match first_passing(&deleted) {
                    Some(error) => (Some(deleted), error),
                    None => return Ok(deleted),
                },
                Err(error) => (None, error),
            };
            if error.code().is_some_and(is_stale_metadata) {
                wanted.iter().for_each(|(topic, ..)| self.cluster().forget_topic(topic));
            }
            if !error.is_retriable() || !attempts.pause().await {
                return deleted.ok_or(error);
            }
        }
    }

    async fn delete_records_once(&self, wanted: &[Wanted<'_>]) -> Result<Vec<DeletedRecords>, RequestError> {
        let mut requests: HashMap<HostPort, Vec<Wanted<'_>>> = HashMap::new();
        for (topic, partition, before) in wanted.iter().copied() {
            let leader = self.leader(topic, partition, AutoCreate::Forbidden).await?;
            requests.entry(leader.server).or_default().push((topic, partition, before));
        }
        let sent = requests.iter().map(|(server, wanted)| self.delete_records_at(server, wanted));
        let mut answers: HashMap<_, _> = try_join_all(sent).await?.into_iter().flatten().collect();
        let answer = |(topic, partition, _): &Wanted<'_>| {
            let (topic, partition) = (String::from(*topic), *partition);
            let low_watermark = answers.remove(&(topic.clone(), partition));
            let low_watermark =
                low_watermark.ok_or(RequestError::Incomplete { api: ApiKey::DeleteRecords })?;
            Ok(DeletedRecords { topic, partition, low_watermark })
        };
        wanted.iter().map(answer).collect()
    }

    async fn delete_records_at(
        &self,
        server: &HostPort,
        wanted: &[Wanted<'_>],
    ) -> Result<HashMap<(String, i32), Result<i64, KafkaError>>, RequestError> {
        let connection = self.connection(server, Lane::Control).await?;
        let timeout_ms = self.request_timeout_ms();
        let response = connection.call(VERSIONS, |_| request(wanted, timeout_ms)).await?;
        Ok(low_watermarks(response))
    }
}

/// A refusal that may be over when the metadata is fresh or the broker has done what it is at.
fn first_passing(deleted: &[DeletedRecords]) -> Option<RequestError> {
    deleted.iter().find_map(|DeletedRecords { topic, partition, low_watermark }| {
        let error = low_watermark.as_ref().err()?;
        let subject = Subject::Partition(topic.clone(), *partition);
        Some(RequestError::kafka(subject, error.code)).filter(RequestError::is_retriable)
    })
}

fn request(wanted: &[Wanted<'_>], timeout_ms: i32) -> DeleteRecordsRequest {
    let partitions = wanted.iter().map(|(topic, partition, before)| {
        let offset = match before {
            DeleteBefore::Offset(offset) => *offset,
            DeleteBefore::HighWatermark => -1,
        };
        (*topic, DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(offset))
    });
    let topics = by_topic(partitions)
        .into_iter()
        .map(|(name, partitions)| DeleteRecordsTopic::default().with_name(name).with_partitions(partitions))
        .collect();
    DeleteRecordsRequest::default().with_topics(topics).with_timeout_ms(timeout_ms)
}

fn low_watermarks(response: DeleteRecordsResponse) -> HashMap<(String, i32), Result<i64, KafkaError>> {
    let mut low_watermarks = HashMap::new();
    for topic in response.topics {
        for answer in topic.partitions {
            let result = match ErrorCode::try_from_code(answer.error_code) {
                Some(code) => Err(KafkaError { code, message: None }),
                None => Ok(answer.low_watermark),
            };
            low_watermarks.insert((topic.name.to_string(), answer.partition_index), result);
        }
    }
    low_watermarks
}
