//! AddOffsetsToTxn v3–4: a group's offsets become part of a transaction (KIP-98). Where the second protocol is served,
//! TxnOffsetCommit does this, too (KIP-890).

use ottla_protocol::messages::{AddOffsetsToTxnRequest, GroupId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::client::Client;
use crate::coordinator::CoordinatorKey;
use crate::error::RequestError;
use crate::transaction::{TransactionalIdentity, is_passing};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 4 };

impl Client {
    pub(crate) async fn add_offsets_to_transaction(
        &self,
        identity: &TransactionalIdentity,
        group: &str,
    ) -> Result<(), RequestError> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(identity.id())
            .with_producer_id(identity.producer_id())
            .with_producer_epoch(identity.producer.producer_epoch)
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())));
        let key = CoordinatorKey::Transaction(&identity.transactional_id);
        let attempts = self.attempts();
        loop {
            let response =
                self.call_coordinator_of(key, VERSIONS, |_| request.clone(), |r| r.error_code).await?;
            let Some(code) = ErrorCode::try_from_code(response.error_code) else {
                return Ok(());
            };
            if !is_passing(code) || !attempts.pause().await {
                return Err(RequestError::kafka(key.subject(), code));
            }
        }
    }
}
