//! What a handler may know about the request besides its body.

use std::net::IpAddr;
use std::sync::Arc;

use ottla_protocol::StrBytes;

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
