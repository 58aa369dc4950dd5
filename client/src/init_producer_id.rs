//! InitProducerId v2–5: an identity with which the broker recognises a batch that is sent twice (KIP-98).

use ottla_protocol::messages::{ApiKey, InitProducerIdRequest, ProducerId};
use ottla_protocol::{ErrorCode, VersionRange};

use crate::client::Client;
use crate::error::{RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 2, max: 5 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl Client {
    /// A new producer id, for idempotent batches without transactions.
    pub async fn init_producer_id(&self) -> Result<ProducerIdentity, RequestError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
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
}
