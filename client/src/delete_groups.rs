//! DeleteGroups v1–2 (KIP-229).

use ottla_protocol::messages::{ApiKey, DeleteGroupsRequest, GroupId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::client::Client;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 2 };

impl Client {
    /// Deletes a group that has no members, with all that it has committed.
    pub async fn delete_group(&self, group: &str) -> Result<(), RequestError> {
        let request = DeleteGroupsRequest::default()
            .with_groups_names(vec![GroupId(StrBytes::from_string(group.to_owned()))]);
        let code_of = |response: &ottla_protocol::messages::DeleteGroupsResponse| {
            response.results.first().map_or(0, |result| result.error_code)
        };
        let response = self.call_coordinator(group, VERSIONS, |_| request.clone(), code_of).await?;
        let result =
            response.results.first().ok_or(RequestError::Incomplete { api: ApiKey::DeleteGroups })?;
        match ErrorCode::try_from_code(result.error_code) {
            Some(code) => Err(RequestError::kafka(Subject::Group(group.to_owned()), code)),
            None => Ok(()),
        }
    }
}
