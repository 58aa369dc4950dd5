//! ListGroups v4–5: each broker knows the groups that it coordinates. v5: group types (KIP-848).

use futures::future::try_join_all;
use ottla_protocol::messages::{ApiKey, ListGroupsRequest};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::address::HostPort;
use crate::client::Client;
use crate::cluster::Lane;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 4, max: 5 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    pub group: String,
    /// `consumer` for consumer groups.
    pub protocol_type: String,
    /// Kafka's names: `Stable`, `Empty`, `PreparingRebalance`, …
    pub state: String,
}

impl Client {
    /// All groups of all brokers, by name.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, RequestError> {
        let brokers = self.fetch_brokers().await?;
        let lists = try_join_all(brokers.iter().map(|server| self.list_groups_at(server))).await?;
        let mut groups = lists.concat();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    async fn fetch_brokers(&self) -> Result<Vec<HostPort>, RequestError> {
        Ok(self.metadata(&[]).await?.brokers.into_iter().map(|broker| broker.address).collect())
    }

    async fn list_groups_at(&self, server: &HostPort) -> Result<Vec<ListedGroup>, RequestError> {
        let connection = self.connection(server, Lane::Control).await?;
        let response = connection.call(VERSIONS, |_| ListGroupsRequest::default()).await?;
        if let Some(code) = ErrorCode::try_from_code(response.error_code) {
            return Err(RequestError::kafka(Subject::Api(ApiKey::ListGroups), code));
        }
        let groups = response.groups.into_iter().map(|group| ListedGroup {
            group: group.group_id.to_string(),
            protocol_type: group.protocol_type.to_string(),
            state: group.group_state.to_string(),
        });
        Ok(groups.collect())
    }
}
