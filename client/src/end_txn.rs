//! EndTxn v3–5: commits or aborts a transaction (KIP-98). v5 answers the next transaction's epoch (KIP-890).

use ottla_protocol::messages::EndTxnRequest;
use ottla_protocol::{ErrorCode, VersionRange};

use crate::client::Client;
use crate::coordinator::CoordinatorKey;
use crate::error::RequestError;
use crate::init_producer_id::ProducerIdentity;
use crate::transaction::{TransactionProtocol, TransactionalIdentity, is_passing};

const VERSIONS: VersionRange = VersionRange { min: 3, max: 5 };
const LAST_V1: i16 = 4;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    Commit,
    Abort,
}

impl Client {
    /// Ends the producer's transaction, which must have something in it, and returns the identity of the next one.
    ///
    /// After an error whether it was committed is unknown until [`Client::init_transactions`] has returned.
    pub async fn end_transaction(
        &self,
        identity: &TransactionalIdentity,
        end: TransactionEnd,
    ) -> Result<TransactionalIdentity, RequestError> {
        let request = EndTxnRequest::default()
            .with_transactional_id(identity.id())
            .with_producer_id(identity.producer_id())
            .with_producer_epoch(identity.producer.producer_epoch)
            .with_committed(end == TransactionEnd::Commit);
        let key = CoordinatorKey::Transaction(&identity.transactional_id);
        let versions = identity.protocol.versions(VERSIONS, LAST_V1);
        let attempts = self.attempts();
        loop {
            let response =
                self.call_coordinator_of(key, versions, |_| request.clone(), |r| r.error_code).await?;
            let Some(code) = ErrorCode::try_from_code(response.error_code) else {
                let next = ProducerIdentity {
                    producer_id: response.producer_id.0,
                    producer_epoch: response.producer_epoch,
                };
                let producer = match identity.protocol {
                    TransactionProtocol::V1 => identity.producer,
                    TransactionProtocol::V2 => next,
                };
                return Ok(TransactionalIdentity { producer, ..identity.clone() });
            };
            if !is_passing(code) || !attempts.pause().await {
                return Err(RequestError::kafka(key.subject(), code));
            }
        }
    }
}
