//! InitProducerId v2–5: an identity with which the broker recognises a batch that is sent twice, and which ends what an
//! earlier producer of the same transactional id has left open (KIP-98).

use std::time::Duration;

use ottla_protocol::messages::{ApiKey, InitProducerIdRequest, ProducerId, TransactionalId};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::client::Client;
use crate::coordinator::CoordinatorKey;
use crate::error::{RequestError, Subject};
use crate::transaction::{TransactionalIdentity, is_passing};

const VERSIONS: VersionRange = VersionRange { min: 2, max: 5 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl Client {
    /// A new producer id, for idempotent batches without transactions.
    pub async fn init_producer_id(&self) -> Result<ProducerIdentity, RequestError> {
        let request = request(None, i32::MAX);
        let attempts = self.attempts();
        loop {
            let response = self.call_any(VERSIONS, |_| request.clone()).await?;
            let Some(code) = ErrorCode::try_from_code(response.error_code) else {
                let (producer_id, producer_epoch) = (response.producer_id.0, response.producer_epoch);
                return Ok(ProducerIdentity { producer_id, producer_epoch });
            };
            // A broker that has just started may not have its block of ids yet.
            if !code.is_retriable() || !attempts.pause().await {
                return Err(RequestError::kafka(Subject::Api(ApiKey::InitProducerId), code));
            }
        }
    }

    /// Becomes the producer of a transactional id. Whoever was it before is fenced, and what it left open is committed
    /// or aborted when this returns. The broker aborts a transaction that is open for longer than `timeout`.
    pub async fn init_transactions(
        &self,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<TransactionalIdentity, RequestError> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let request = request(Some(transactional_id), timeout_ms);
        let key = CoordinatorKey::Transaction(transactional_id);
        let attempts = self.attempts();
        loop {
            let response =
                self.call_coordinator_of(key, VERSIONS, |_| request.clone(), |r| r.error_code).await?;
            let Some(code) = ErrorCode::try_from_code(response.error_code) else {
                let producer = ProducerIdentity {
                    producer_id: response.producer_id.0,
                    producer_epoch: response.producer_epoch,
                };
                let protocol = self.transaction_protocol(key).await?;
                let transactional_id = transactional_id.to_owned();
                return Ok(TransactionalIdentity { transactional_id, producer, protocol });
            };
            if !is_passing(code) || !attempts.pause().await {
                return Err(RequestError::kafka(key.subject(), code));
            }
        }
    }
}

fn request(transactional_id: Option<&str>, timeout_ms: i32) -> InitProducerIdRequest {
    let id = transactional_id.map(|id| TransactionalId(StrBytes::from_string(id.to_owned())));
    InitProducerIdRequest::default()
        .with_transactional_id(id)
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
