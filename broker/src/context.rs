//! What a handler may know about the request besides its body.

use std::net::IpAddr;
use std::sync::Arc;

use ottla_protocol::StrBytes;

use crate::listener::Endpoint;

/// One request's surroundings.
#[derive(Clone)]
pub struct RequestContext {
    pub api_version: i16,
    pub client_id: Option<StrBytes>,
    pub client_address: IpAddr,
    /// How clients of the listener that took this connection reach the broker.
    pub advertised: Arc<Endpoint>,
}
