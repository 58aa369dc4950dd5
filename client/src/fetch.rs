//! Fetch v13–18, without sessions: raw record batches from any number of partitions. v13: topics by id (KIP-516).

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use ottla_protocol::batch::{BatchError, RecordBatch, batches};
use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::fetch_request::{FetchPartition as PartitionRequest, FetchRequest, FetchTopic};
use ottla_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use ottla_protocol::{ErrorCode, VersionRange};
use uuid::Uuid;

use crate::address::HostPort;
use crate::client::{Client, Leader};
use crate::cluster::Lane;
use crate::error::{RequestError, Subject, is_stale_metadata};
use crate::metadata::AutoCreate;

const VERSIONS: VersionRange = VersionRange { min: 13, max: 18 };

#[derive(Debug, Clone)]
pub struct Fetch {
    pub partitions: Vec<FetchPartition>,
    /// `fetch.max.wait.ms`: how long the broker may keep its answer back while it has less than `min_bytes`.
    pub max_wait: Duration,
    /// `fetch.min.bytes`
    pub min_bytes: i32,
    /// `fetch.max.bytes`; a first batch that is longer comes all the same.
    pub max_bytes: i32,
    pub isolation_level: IsolationLevel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchPartition {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// `max.partition.fetch.bytes`
    pub max_bytes: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    #[default]
    ReadUncommitted,
    ReadCommitted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    pub topic: String,
    pub partition: i32,
    /// The offset that was asked for.
    pub fetch_offset: i64,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// With [`IsolationLevel::ReadCommitted`]: the producers whose records from an offset on are to be skipped, up to
    /// their abort marker.
    pub aborted_transactions: Vec<AbortedTransaction>,
    /// Whole record batches. The first may begin before `fetch_offset`, for a batch is stored whole.
    pub records: Bytes,
    pub error: Option<ErrorCode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// One partition on its way to its leader.
#[derive(Debug)]
struct Routed<'a> {
    wanted: &'a FetchPartition,
    leader: Leader,
}

impl Client {
    /// Fetches from the leaders of all partitions at once.
    ///
    /// A partition whose leader has just moved is left out, and found again by the next call; one that cannot be read
    /// (unknown topic, offset out of range) is there with its error.
    pub async fn fetch(&self, fetch: &Fetch) -> Result<Vec<FetchedPartition>, RequestError> {
        let attempts = self.attempts();
        loop {
            let error = match self.fetch_once(fetch).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            if !error.is_retriable() || !attempts.pause().await {
                return Err(error);
            }
        }
    }

    /// Fails only where nothing at all can be answered.
    async fn fetch_once(&self, fetch: &Fetch) -> Result<Vec<FetchedPartition>, RequestError> {
        let (by_leader, mut settled) = self.route(&fetch.partitions).await?;
        let requests = by_leader.iter().map(|(server, routed)| self.fetch_from(server, routed, fetch));
        let mut moved = None;
        for fetched in try_join_all(requests).await?.into_iter().flatten() {
            match fetched.error.filter(|code| is_stale_metadata(*code)) {
                None => settled.push(fetched),
                Some(code) => {
                    self.cluster().forget_topic(&fetched.topic);
                    let subject = Subject::Partition(fetched.topic, fetched.partition);
                    moved = Some(RequestError::kafka(subject, code));
                }
            }
        }
        match moved {
            Some(error) if settled.is_empty() => Err(error),
            _ => Ok(settled),
        }
    }

    /// The partitions by leader, and those that have none to ask.
    async fn route<'a>(
        &self,
        partitions: &'a [FetchPartition],
    ) -> Result<(HashMap<HostPort, Vec<Routed<'a>>>, Vec<FetchedPartition>), RequestError> {
        let mut by_leader: HashMap<HostPort, Vec<Routed<'a>>> = HashMap::new();
        let mut failed = Vec::new();
        for wanted in partitions {
            match self.leader(&wanted.topic, wanted.partition, AutoCreate::Forbidden).await {
                Ok(leader) => {
                    let routed = by_leader.entry(leader.server.clone()).or_default();
                    routed.push(Routed { wanted, leader });
                }
                Err(RequestError::NoLeader { reason, .. }) => {
                    failed.push(FetchedPartition::failed(wanted, reason.code()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((by_leader, failed))
    }

    async fn fetch_from(
        &self,
        server: &HostPort,
        routed: &[Routed<'_>],
        fetch: &Fetch,
    ) -> Result<Vec<FetchedPartition>, RequestError> {
        let connection = self.connection(server, Lane::Fetch).await?;
        let patience = self.config().request_timeout + fetch.max_wait;
        let response = connection.call_within(patience, VERSIONS, |_| request(fetch, routed)).await?;
        match ErrorCode::try_from_code(response.error_code) {
            Some(code) => Err(RequestError::kafka(Subject::Api(ApiKey::Fetch), code)),
            None => Ok(fetched_partitions(response, routed)),
        }
    }
}

fn request(fetch: &Fetch, routed: &[Routed<'_>]) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for Routed { wanted, leader } in routed {
        let partition = PartitionRequest::default()
            .with_partition(wanted.partition)
            .with_current_leader_epoch(leader.epoch)
            .with_fetch_offset(wanted.offset)
            .with_partition_max_bytes(wanted.max_bytes);
        match topics.iter_mut().find(|topic| topic.topic_id == leader.topic.id) {
            Some(topic) => topic.partitions.push(partition),
            None => topics
                .push(FetchTopic::default().with_topic_id(leader.topic.id).with_partitions(vec![partition])),
        }
    }
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(fetch.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(fetch.min_bytes)
        .with_max_bytes(fetch.max_bytes)
        .with_isolation_level(fetch.isolation_level.code())
        .with_topics(topics)
}

/// Joins the answers to what was asked; an answer about anything else is dropped.
fn fetched_partitions(response: FetchResponse, routed: &[Routed<'_>]) -> Vec<FetchedPartition> {
    let asked: HashMap<(Uuid, i32), &FetchPartition> = routed
        .iter()
        .map(|routed| ((routed.leader.topic.id, routed.wanted.partition), routed.wanted))
        .collect();
    let mut fetched = Vec::with_capacity(routed.len());
    for topic in response.responses {
        for partition in topic.partitions {
            if let Some(wanted) = asked.get(&(topic.topic_id, partition.partition_index)) {
                fetched.push(FetchedPartition::answered(wanted, partition));
            }
        }
    }
    fetched
}

impl FetchedPartition {
    /// The record batches; ends after the first that is not sound.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch<'_>, BatchError>> {
        batches(&self.records)
    }

    fn answered(wanted: &FetchPartition, answer: PartitionData) -> FetchedPartition {
        let aborted = answer.aborted_transactions.unwrap_or_default();
        FetchedPartition {
            topic: wanted.topic.clone(),
            partition: wanted.partition,
            fetch_offset: wanted.offset,
            high_watermark: answer.high_watermark,
            last_stable_offset: answer.last_stable_offset,
            log_start_offset: answer.log_start_offset,
            aborted_transactions: aborted
                .iter()
                .map(|txn| AbortedTransaction {
                    producer_id: txn.producer_id.0,
                    first_offset: txn.first_offset,
                })
                .collect(),
            records: answer.records.unwrap_or_default(),
            error: ErrorCode::try_from_code(answer.error_code),
        }
    }

    fn failed(wanted: &FetchPartition, code: ErrorCode) -> FetchedPartition {
        FetchedPartition {
            topic: wanted.topic.clone(),
            partition: wanted.partition,
            fetch_offset: wanted.offset,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted_transactions: Vec::new(),
            records: Bytes::new(),
            error: Some(code),
        }
    }
}

impl IsolationLevel {
    pub(crate) fn code(self) -> i8 {
        match self {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        }
    }
}
