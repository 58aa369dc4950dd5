//! Requests: a broker reads them, a client writes them.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use crate::encoded::Encoded;
use crate::error::{DecodeError, EncodeError};
use crate::shape::{self, Request, Shaped, Walked};
use crate::varint;

/// What precedes the body of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    /// As the client wrote it; it need not be one that is served.
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// Takes the header off the front of a request's frame; the body is left.
pub fn decode_header(frame: &mut Bytes) -> Result<RequestHeader, DecodeError> {
    let left_bytes = frame.len();
    let cut = || DecodeError::HeaderCut { left_bytes };
    let (api_key, api_version) = (take_i16(frame).ok_or_else(cut)?, take_i16(frame).ok_or_else(cut)?);
    let api_key = ApiKey::try_from(api_key).map_err(|_| DecodeError::UnknownApi { api_key, api_version })?;
    let correlation_id = frame.try_get_i32().map_err(|_| cut())?;
    let client_id = take_client_id(frame, left_bytes)?;
    if api_key.request_header_version(api_version) >= 2 {
        skip_tagged_fields(frame).ok_or_else(cut)?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// Decodes a request's body, after checking every length that it claims.
pub fn decode_body<R: Request>(body: Bytes, version: i16) -> Result<R, DecodeError> {
    CheckedBody::<R>::check(body, version)?.decode()
}

/// A request's body, every length of which is known to be right, before it is decoded. Bytes behind it are ignored, as
/// Kafka does.
#[derive(Debug)]
pub struct CheckedBody<R> {
    body: Bytes,
    version: i16,
    elements: usize,
    request: PhantomData<R>,
}

impl<R: Request> CheckedBody<R> {
    pub fn check(mut body: Bytes, version: i16) -> Result<CheckedBody<R>, DecodeError> {
        let Walked { size_bytes, elements } = walk::<R, R>(&body, version)?;
        body.truncate(size_bytes);
        Ok(CheckedBody { body, version, elements, request: PhantomData })
    }

    /// Array elements and unknown tagged fields: what the decoded request's memory, beyond its bytes, is in proportion
    /// to.
    pub fn elements(&self) -> usize {
        self.elements
    }

    pub fn decode(self) -> Result<R, DecodeError> {
        decode_walked::<R, R>(self.body, self.version)
    }
}

/// A request with its frame's length and header, ready to be written to a socket.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: R,
) -> Result<Encoded, EncodeError> {
    Encoded::frame(version, request, |head: &mut BytesMut| {
        head.put_i16(R::KEY);
        head.put_i16(version);
        head.put_i32(correlation_id);
        put_client_id(head, client_id);
        if R::header_version(version) >= 2 {
            varint::put_u32(head, 0);
        }
    })
}

/// Decodes a response's body, all of it, after checking every length that it claims.
pub(crate) fn decode_response_body<R: Request>(
    body: Bytes,
    version: i16,
) -> Result<R::Response, DecodeError> {
    let walked = walk::<R, R::Response>(&body, version)?;
    let api = api::<R>(version)?;
    walked.fills(&body).map_err(|malformed| DecodeError::Malformed { api, version, malformed })?;
    decode_walked::<R, R::Response>(body, version)
}

/// Walks `M`, which is the request `R` or its response.
pub(crate) fn walk<R: Request, M: Shaped>(body: &[u8], version: i16) -> Result<Walked, DecodeError> {
    let (api, supported) = (api::<R>(version)?, M::VERSIONS);
    if !(supported.min..=supported.max).contains(&version) {
        return Err(DecodeError::UnsupportedVersion { api, version, supported });
    }
    let walked = shape::walk(&M::SHAPE, version, body, |_| ());
    walked.map_err(|malformed| DecodeError::Malformed { api, version, malformed })
}

fn api<R: Request>(version: i16) -> Result<ApiKey, DecodeError> {
    ApiKey::try_from(R::KEY).map_err(|()| DecodeError::UnknownApi { api_key: R::KEY, api_version: version })
}

/// Decodes what has been walked and fills the body.
pub(crate) fn decode_walked<R: Request, M: Shaped>(mut body: Bytes, version: i16) -> Result<M, DecodeError> {
    let api = api::<R>(version)?;
    let invalid = |reason: String| DecodeError::Invalid { api, version, reason };
    let message = M::decode(&mut body, version).map_err(|error| invalid(error.to_string()))?;
    match body.len() {
        0 => Ok(message),
        left => Err(invalid(format!("{left} bytes are left"))),
    }
}

/// Skips the tagged fields of a header; none is of use.
pub(crate) fn skip_tagged_fields(frame: &mut Bytes) -> Option<()> {
    let mut rest = &frame[..];
    for _ in 0..varint::take_u32(&mut rest)? {
        let _tag = varint::take_u32(&mut rest)?;
        let size = varint::take_u32(&mut rest)? as usize;
        rest = rest.get(size..)?;
    }
    frame.advance(frame.len() - rest.len());
    Some(())
}

fn take_i16(frame: &mut Bytes) -> Option<i16> {
    frame.try_get_i16().ok()
}

/// The client id is a string with a two-byte length in every version of the header.
fn take_client_id(frame: &mut Bytes, left_bytes: usize) -> Result<Option<StrBytes>, DecodeError> {
    let cut = || DecodeError::HeaderCut { left_bytes };
    let claimed = take_i16(frame).ok_or_else(cut)?;
    if claimed == -1 {
        return Ok(None);
    }
    let length = usize::try_from(claimed).ok().filter(|&length| length <= frame.len()).ok_or_else(cut)?;
    StrBytes::from_utf8(frame.split_to(length)).map(Some).map_err(|_| DecodeError::ClientId)
}

fn put_client_id(head: &mut BytesMut, client_id: Option<&str>) {
    // A name longer than the format's 32,767 bytes is no name; it is left out.
    match client_id.and_then(|id| Some((id, i16::try_from(id.len()).ok()?))) {
        Some((id, length)) => {
            head.put_i16(length);
            head.put_slice(id.as_bytes());
        }
        None => head.put_i16(-1),
    }
}
