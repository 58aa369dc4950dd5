//! DescribeCluster v0–2 (KIP-700).

use ottla_protocol::VersionRange;
use ottla_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_protocol::messages::{ApiKey, DescribeClusterRequest};

use crate::address::HostPort;
use crate::client::Client;
use crate::error::{KafkaError, RequestError, Subject};
use crate::metadata::BrokerMetadata;

const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller_id: i32,
    pub brokers: Vec<BrokerMetadata>,
}

impl Client {
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, RequestError> {
        let response = self.call_any(VERSIONS, |_| DescribeClusterRequest::default()).await?;
        if let Some(error) = KafkaError::new(response.error_code, response.error_message) {
            return Err(RequestError::Kafka { subject: Subject::Api(ApiKey::DescribeCluster), error });
        }
        Ok(ClusterDescription {
            cluster_id: response.cluster_id.to_string(),
            controller_id: response.controller_id.0,
            brokers: response.brokers.into_iter().filter_map(broker).collect(),
        })
    }
}

/// `None` for a port that no broker can have.
fn broker(broker: DescribeClusterBroker) -> Option<BrokerMetadata> {
    let port = u16::try_from(broker.port).ok()?;
    let address = HostPort { host: broker.host.to_string(), port };
    Some(BrokerMetadata {
        node_id: broker.broker_id.0,
        address,
        rack: broker.rack.map(|rack| rack.to_string()),
    })
}
