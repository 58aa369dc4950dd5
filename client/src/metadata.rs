//! Metadata v12–13: brokers, topics and the leaders of their partitions. v12: queries by topic id (KIP-516);
//! v13: an error of the whole answer (KIP-1102).

use std::sync::Arc;

use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::{ErrorCode, VersionRange};
use uuid::Uuid;

use crate::address::HostPort;
use crate::by_topic::topic_name;
use crate::client::Client;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 12, max: 13 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub cluster_id: Option<String>,
    pub controller_id: i32,
    pub brokers: Vec<BrokerMetadata>,
    /// In the order of their names.
    pub topics: Vec<Arc<TopicMetadata>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerMetadata {
    pub node_id: i32,
    pub address: HostPort,
    pub rack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    pub name: String,
    pub id: Uuid,
    pub is_internal: bool,
    /// In the order of their indexes.
    pub partitions: Vec<PartitionMetadata>,
    pub error: Option<ErrorCode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    pub index: i32,
    pub leader: Option<i32>,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync_replicas: Vec<i32>,
    pub error: Option<ErrorCode>,
}

/// Whether asking for a topic may make it (the broker's `auto.create.topics.enable` decides too).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoCreate {
    Allowed,
    Forbidden,
}

impl Client {
    /// The named topics; one that does not exist carries [`ErrorCode::UnknownTopicOrPartition`], and is not made.
    pub async fn metadata(&self, topics: &[&str]) -> Result<Metadata, RequestError> {
        self.fetch_metadata(Some(topics), AutoCreate::Forbidden).await
    }

    /// All topics, internal ones included.
    pub async fn all_metadata(&self) -> Result<Metadata, RequestError> {
        self.fetch_metadata(None, AutoCreate::Forbidden).await
    }

    pub(crate) async fn fetch_metadata(
        &self,
        topics: Option<&[&str]>,
        auto_create: AutoCreate,
    ) -> Result<Metadata, RequestError> {
        let request = request(topics, auto_create);
        let response = self.call_any(VERSIONS, |_| request.clone()).await?;
        if let Some(code) = ErrorCode::try_from_code(response.error_code) {
            return Err(RequestError::kafka(Subject::Api(ApiKey::Metadata), code));
        }
        let metadata = Metadata::from(response);
        self.cluster().learn(&metadata);
        Ok(metadata)
    }
}

impl Metadata {
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.iter().find(|topic| topic.name == name)
    }
}

impl TopicMetadata {
    pub fn partition(&self, index: i32) -> Option<&PartitionMetadata> {
        let position = self.partitions.binary_search_by_key(&index, |partition| partition.index).ok()?;
        self.partitions.get(position)
    }
}

fn request(topics: Option<&[&str]>, auto_create: AutoCreate) -> MetadataRequest {
    let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default()
        .with_topics(topics.map(|topics| topics.iter().map(named).collect()))
        .with_allow_auto_topic_creation(auto_create == AutoCreate::Allowed)
}

impl From<MetadataResponse> for Metadata {
    fn from(response: MetadataResponse) -> Metadata {
        let mut topics: Vec<_> = response.topics.into_iter().map(|topic| Arc::new(topic.into())).collect();
        topics.sort_by(|a: &Arc<TopicMetadata>, b| a.name.cmp(&b.name));
        Metadata {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller_id: response.controller_id.0,
            brokers: response.brokers.into_iter().filter_map(broker).collect(),
            topics,
        }
    }
}

/// `None` for a port that no broker can have.
fn broker(broker: MetadataResponseBroker) -> Option<BrokerMetadata> {
    let port = u16::try_from(broker.port).ok()?;
    let address = HostPort { host: broker.host.to_string(), port };
    Some(BrokerMetadata {
        node_id: broker.node_id.0,
        address,
        rack: broker.rack.map(|rack| rack.to_string()),
    })
}

impl From<MetadataResponseTopic> for TopicMetadata {
    fn from(topic: MetadataResponseTopic) -> TopicMetadata {
        let mut partitions: Vec<PartitionMetadata> = topic.partitions.into_iter().map(Into::into).collect();
        partitions.sort_by_key(|partition| partition.index);
        TopicMetadata {
            name: topic.name.map(|name| name.to_string()).unwrap_or_default(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
            error: ErrorCode::try_from_code(topic.error_code),
        }
    }
}

impl From<MetadataResponsePartition> for PartitionMetadata {
    fn from(partition: MetadataResponsePartition) -> PartitionMetadata {
        PartitionMetadata {
            index: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|leader| *leader >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.iter().map(|node| node.0).collect(),
            in_sync_replicas: partition.isr_nodes.iter().map(|node| node.0).collect(),
            error: ErrorCode::try_from_code(partition.error_code),
        }
    }
}
