//! What a handler may know about the request besides its body.

use std::net::IpAddr;
use std::sync::Arc;

use ottla_protocol::{ErrorCode, StrBytes};

use crate::listener::Endpoint;

/// One request's surroundings.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) api_version: i16,
    pub(crate) client_id: Option<StrBytes>,
    pub(crate) client_address: IpAddr,
    /// How clients of the listener that took this connection reach the broker.
    pub(crate) advertised: Arc<Endpoint>,
}

impl RequestContext {
    /// Before version `fenced_since` of an API, its clients know a producer that is fenced as one with an old epoch
    /// (KIP-588).
    pub(crate) fn fencing_code(&self, error: ErrorCode, fenced_since: i16) -> ErrorCode {
        match error {
            ErrorCode::ProducerFenced if self.api_version < fenced_since => ErrorCode::InvalidProducerEpoch,
            error => error,
        }
    }
}
