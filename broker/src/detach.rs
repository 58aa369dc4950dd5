//! Copies for keeping. What is decoded from a request borrows the buffer that the request came in; kept as it is, a
//! member's name of ten bytes would hold that whole buffer for as long as the member lives.

use bytes::Bytes;
use ottla_protocol::StrBytes;

pub(crate) fn text(borrowed: &StrBytes) -> StrBytes {
    StrBytes::from_string(borrowed.to_string())
}

pub(crate) fn bytes(borrowed: &Bytes) -> Bytes {
    Bytes::copy_from_slice(borrowed)
}
