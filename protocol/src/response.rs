//! Responses: a broker writes them, a client reads them.

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::protocol::HeaderVersion;

use crate::encoded::Encoded;
use crate::error::{DecodeError, EncodeError};
use crate::request::{decode_response_body, skip_tagged_fields};
use crate::shape::{Request, Shaped};
use crate::varint;

/// A response with its frame's length and header, ready to be written to a socket.
pub fn encode_response<M: Shaped>(
    correlation_id: i32,
    version: i16,
    response: M,
) -> Result<Encoded, EncodeError> {
    Encoded::frame(version, response, |head| {
        head.put_i32(correlation_id);
        if M::header_version(version) >= 1 {
            varint::put_u32(head, 0);
        }
    })
}

/// Takes a response's frame apart: the correlation id, and the body, all of it.
pub fn decode_response<R: Request>(
    mut frame: Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let cut = DecodeError::HeaderCut { left_bytes: frame.len() };
    let Ok(correlation_id) = frame.try_get_i32() else { return Err(cut) };
    if <R::Response as HeaderVersion>::header_version(version) >= 1
        && skip_tagged_fields(&mut frame).is_none()
    {
        return Err(cut);
    }
    Ok((correlation_id, decode_response_body::<R>(frame, version)?))
}
